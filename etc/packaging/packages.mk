# SPDX-License-Identifier: GPL-2.0-or-later
#
# Packages, made of this tree as it is. What a package needs to be built and
# which version it has is told by the Makefile alone; the files beside this one
# have @NAMES@ for that.

PACKAGE := ksmd-plus-$(VERSION)
TARBALL := $(B)/$(PACKAGE).tar.gz
DIST := COPYING Makefile README.md bpf daemon etc include man systemd tests
# The time of a package is that of the last change, where git can tell.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null), \
	$(shell date -r Makefile +%s))
comma := ,
empty :=
space := $(empty) $(empty)
# Alternatives are "a | b" in a control file; whoever builds a Debian package
# has a compiler, a C library and make.
DEB_NEEDS = $(subst $(space),$(comma)$(space),$(strip $(filter-out \
	gcc libc6-dev make,$(PACKAGES_BUILD))))
FILL = sed -e 's|@VERSION@|$(VERSION)|' -e 's/@MAINTAINER@/$(MAINTAINER)/' \
	-e 's/@BUILD_DEPENDS@/$(subst |, | ,$(DEB_NEEDS))/' \
	-e 's/@YEAR@/$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y)/'

.PHONY: dist
dist:
	@mkdir -p $(B)
	@echo "  TAR     $(TARBALL)"
	$(Q)tar -czf $(TARBALL) --transform 's|^|$(PACKAGE)/|' --owner=0 \
		--group=0 --exclude=__pycache__ $(DIST)

# The package: $(B)/deb/*.deb. deb-tree makes only what it is built of, for
# those who have other tools for the rest.
DEB := $(B)/deb/$(PACKAGE)

.PHONY: deb-tree deb
deb-tree: dist
	@rm -rf $(B)/deb
	@mkdir -p $(B)/deb
	$(Q)tar -xzf $(TARBALL) -C $(B)/deb
	$(Q)cp -r etc/packaging/debian $(DEB)/debian
	$(Q)for name in control copyright; do \
		$(FILL) etc/packaging/debian/$$name >$(DEB)/debian/$$name; \
	done
	$(Q)printf 'ksmd-plus (%s) unstable; urgency=medium\n\n  * %s\n\n -- %s  %s\n' \
		'$(VERSION)' 'See the manual pages for what it does.' \
		'$(MAINTAINER)' "$$(date -R -u -d @$(SOURCE_DATE_EPOCH))" \
		>$(DEB)/debian/changelog

# What is there from another build is not used: the flags are Debian's.
deb: deps-build deps-deb deb-tree
	$(Q)cd $(DEB) && env -u B -u MAKEFLAGS -u MFLAGS -u CFLAGS -u SAN \
		dpkg-buildpackage $(DEBFLAGS) -Jauto -b -us -uc
	@ls $(B)/deb/*.deb

.PHONY: rpm-tree rpm
rpm-tree: dist
	@rm -rf $(B)/rpm
	@mkdir -p $(B)/rpm/SPECS $(B)/rpm/SOURCES
	$(Q)$(FILL) etc/packaging/ksmd-plus.spec >$(B)/rpm/SPECS/ksmd-plus.spec
	$(Q)cp $(TARBALL) $(B)/rpm/SOURCES/

# RPMFLAGS=--nodeps where what is needed is there, but not by rpm.
rpm: deps-rpm rpm-tree
	$(Q)env -u B -u MAKEFLAGS -u MFLAGS -u CFLAGS -u SAN \
		rpmbuild -ba --define '_topdir $(abspath $(B)/rpm)' \
		$(RPMFLAGS) $(B)/rpm/SPECS/ksmd-plus.spec
	@ls $(B)/rpm/RPMS/*/*.rpm
