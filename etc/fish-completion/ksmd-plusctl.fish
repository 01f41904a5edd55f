# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for ksmd-plusctl

function __ksmd_plus_units
    systemctl list-units --plain --no-legend --full 2>/dev/null |
        string replace -r ' .*' ''
end

complete -c ksmd-plusctl -f
complete -c ksmd-plusctl -l socket -r -F -d 'of the daemon'
complete -c ksmd-plusctl -s h -l help -d 'print a summary'
complete -c ksmd-plusctl -s V -l version -d 'print the version'

complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a status -d 'what is saved, what is being done and why'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a list -d 'the processes that are managed'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a top -d 'both of these, live'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a explain -d 'why a process or service merges or does not'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a plan -d 'what merging would save and cost'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a run -d 'start a program that is looked after'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a metrics -d 'figures for Prometheus and its kind'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a doctor -d 'what the kernel and the machine offer'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a pause -d 'stop searching and put KSM back'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a resume -d 'go on'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a rescan -d 'look at everything again'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a enable -d 'have a systemd unit register all its memory'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a disable -d 'undo enable'
complete -c ksmd-plusctl -n __fish_use_subcommand \
    -a import -d 'settings of ksmtuned as a configuration'

complete -c ksmd-plusctl -n '__fish_seen_subcommand_from list' \
    -l by -x -a 'process unit guest target' -d 'accounts of'
complete -c ksmd-plusctl -n __fish_use_subcommand -l json -d 'print JSON'
complete -c ksmd-plusctl \
    -n '__fish_seen_subcommand_from status list explain plan doctor' \
    -l json -d 'print JSON'
complete -c ksmd-plusctl \
    -n '__fish_seen_subcommand_from explain plan doctor' \
    -l config -r -F -d 'the configuration'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from explain plan' \
    -a '(__fish_complete_pids)'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from explain' \
    -a '(__ksmd_plus_units)'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from plan' \
    -l all -d 'all processes'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from plan' \
    -l sample -d 'read a part, print an interval'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from doctor' \
    -l watch -x -d 'watch the knobs for so long'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from plan' \
    -l unit -x -a '(__ksmd_plus_units)' -d 'those of a unit'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from plan' \
    -l cgroup -x -d 'those of a cgroup'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from plan' \
    -l target -x -d 'those of a section of the configuration'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from run' \
    -l whole -d 'by the kernel alone'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from run' \
    -a '(__fish_complete_subcommand)'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from metrics' \
    -l output -r -F -d 'write a file, at once as a whole'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from metrics' \
    -l textfile -d 'the form that node_exporter reads'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from enable disable' \
    -a '(__ksmd_plus_units)'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from enable' \
    -l now -d 'enrol at once what is running'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from enable disable' \
    -l user -d 'a unit of your own service manager'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from enable disable' \
    -l root -r -F -d 'below another root'
complete -c ksmd-plusctl -n '__fish_seen_subcommand_from import' \
    -F -a ksmtuned
