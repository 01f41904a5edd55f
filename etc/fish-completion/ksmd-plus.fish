# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for ksmd-plus

complete -c ksmd-plus -f
complete -c ksmd-plus -s c -l config -r -F -d 'the configuration'
complete -c ksmd-plus -l check-config -d 'check the configuration and exit'
complete -c ksmd-plus -s n -l dry-run -d 'change nothing'
complete -c ksmd-plus -l restore -d 'put back what a killed daemon left'
complete -c ksmd-plus -l debug -d 'log more'
complete -c ksmd-plus -s h -l help -d 'print a summary'
complete -c ksmd-plus -s V -l version -d 'print the version'
