# rcptsyncd.fish — completions of rcptsyncd(8) for fish.
complete -c rcptsyncd -f
complete -c rcptsyncd -s c -l config -r -F -d 'configuration file'
complete -c rcptsyncd -l check -d 'check configuration, keys and credentials; no network'
complete -c rcptsyncd -l once -d 'one whole cycle, then end'
complete -c rcptsyncd -l dry-run -d 'with --once: print what a cycle would change'
complete -c rcptsyncd -l json -d 'with --dry-run: one JSON document'
complete -c rcptsyncd -l color -x -a 'auto always never' -d 'with --dry-run: colours'
complete -c rcptsyncd -s v -l verbose -d 'debug lines; with --dry-run every entry'
complete -c rcptsyncd -s h -l help -d 'what it can do'
complete -c rcptsyncd -l version -d 'its version'
