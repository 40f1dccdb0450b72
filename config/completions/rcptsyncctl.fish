# rcptsyncctl.fish — completions of rcptsyncctl(1) for fish.
#
# Names, digests and generations are asked of the state; where it cannot be read there are none.

# __rcptsyncctl_ask WORD…: what `rcptsyncctl --json WORD…` prints.
function __rcptsyncctl_ask
    set -l tool rcptsyncctl
    set -l words (commandline -opc)
    for i in (seq (count $words))
        if contains -- $words[$i] -c --config; and test $i -lt (count $words)
            set tool rcptsyncctl --config $words[(math $i + 1)]
        end
    end
    timeout 5 $tool --json $argv 2>/dev/null </dev/null
end

function __rcptsyncctl_names
    __rcptsyncctl_ask status | sed -n '/^  "'$argv[1]'": \[/,/^  \]/s/^ *"name": "\([^"]*\)".*/\1/p'
end

function __rcptsyncctl_held
    __rcptsyncctl_ask status | sed -n '/^  "held": {/,/^  }/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p'
end

# What approve takes: the held change, refusals, and held first tables.
function __rcptsyncctl_approvable
    __rcptsyncctl_ask status | sed -n -e '/^  "held": {/,/^  }/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p' \
        -e '/^  "refused": \[$/,/^  \]/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p' \
        -e '/^  "first_tables_held": \[$/,/^  \]/s/^ *"digest": "\([0-9a-f]*\)".*/\1/p'
end

function __rcptsyncctl_generations
    __rcptsyncctl_ask history -n 50 | sed -n 's/^ *"generation": \([0-9]*\),*$/\1/p'
end

# The words that are no options and no values of options: the command and its arguments.
function __rcptsyncctl_arguments
    set -l words (commandline -opc)
    set -e words[1]
    set -l value no
    for word in $words
        if test $value = yes
            set value no
        else if contains -- $word -c --config --color --generation -n --number --target --file --comment --source --domain --user --password-file --principal --keytab --limit
            set value yes
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# __rcptsyncctl_at COUNT COMMAND…: so many arguments stand before, and the first is one of these.
function __rcptsyncctl_at
    set -l arguments (__rcptsyncctl_arguments)
    test (count $arguments) -eq $argv[1]; and contains -- $arguments[1] $argv[2..-1]
end

function __rcptsyncctl_in
    set -l arguments (__rcptsyncctl_arguments)
    contains -- "$arguments[1]" $argv
end

complete -c rcptsyncctl -f
complete -c rcptsyncctl -s c -l config -r -F -d 'configuration file'
complete -c rcptsyncctl -l json -d 'one JSON document'
complete -c rcptsyncctl -s v -l verbose -d 'long lists in full'
complete -c rcptsyncctl -l color -x -a 'auto always never' -d 'colours'
complete -c rcptsyncctl -s h -l help -d 'what it can do'
complete -c rcptsyncctl -l version -d 'its version'

set -l none 'test (count (__rcptsyncctl_arguments)) -eq 0'
complete -c rcptsyncctl -n $none -a status -d 'sources, generation, held change, targets'
complete -c rcptsyncctl -n $none -a why -d 'why an address is listed or not'
complete -c rcptsyncctl -n $none -a diff -d 'added, removed and changed entries'
complete -c rcptsyncctl -n $none -a history -d 'the generations that are kept'
complete -c rcptsyncctl -n $none -a table -d 'the exact bytes that a target gets'
complete -c rcptsyncctl -n $none -a approve -d 'lets exactly this held change through'
complete -c rcptsyncctl -n $none -a reject -d 'keeps what this held change would remove'
complete -c rcptsyncctl -n $none -a rollback -d 'makes the recipients of a generation current again'
complete -c rcptsyncctl -n $none -a resync -d 'reads everything in full and pushes to every target'
complete -c rcptsyncctl -n $none -a poll -d 'reads the sources now'
complete -c rcptsyncctl -n $none -a push -d 'pushes now'
complete -c rcptsyncctl -n $none -a verify -d 'reads back what the targets serve and compares'
complete -c rcptsyncctl -n $none -a target -d 'prepares and examines one target'
complete -c rcptsyncctl -n $none -a keygen -d 'makes the key pair that targets are reached by'
complete -c rcptsyncctl -n $none -a prune-directory -d 'addresses of excluded domains in the directory'

complete -c rcptsyncctl -n '__rcptsyncctl_at 1 diff rollback; or __rcptsyncctl_at 2 diff' -k -a '(__rcptsyncctl_generations)' -d generation
complete -c rcptsyncctl -n '__rcptsyncctl_at 1 approve' -a '(__rcptsyncctl_approvable)' -d 'held or rejected change'
complete -c rcptsyncctl -n '__rcptsyncctl_at 1 reject' -a '(__rcptsyncctl_held)' -d 'held change'
complete -c rcptsyncctl -n '__rcptsyncctl_in push verify' -a '(__rcptsyncctl_names targets)' -d target
complete -c rcptsyncctl -n '__rcptsyncctl_at 1 target' -a setup -d 'prints a script that prepares the target'
complete -c rcptsyncctl -n '__rcptsyncctl_at 1 target' -a test -d 'connects and checks'
complete -c rcptsyncctl -n '__rcptsyncctl_at 2 target' -a '(__rcptsyncctl_names targets)' -d target
complete -c rcptsyncctl -n '__rcptsyncctl_in history' -s n -l number -x -d 'at most this many'
complete -c rcptsyncctl -n '__rcptsyncctl_in table' -l target -x -a '(__rcptsyncctl_names targets)' -d 'name of the target'
complete -c rcptsyncctl -n '__rcptsyncctl_in table' -l access -d 'the access table'
complete -c rcptsyncctl -n '__rcptsyncctl_in table' -l generation -x -k -a '(__rcptsyncctl_generations)' -d 'as it was then'
complete -c rcptsyncctl -n '__rcptsyncctl_in diff' -l target -x -a '(__rcptsyncctl_names targets)' -d 'what its held first table would take'
complete -c rcptsyncctl -n '__rcptsyncctl_in why' -l live -d 'ask the sources now'
complete -c rcptsyncctl -n '__rcptsyncctl_in keygen' -l file -r -F -d 'private key'
complete -c rcptsyncctl -n '__rcptsyncctl_in keygen' -l comment -x -d 'of the key'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l source -x -a '(__rcptsyncctl_names sources)' -d 'only this source'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l domain -x -d 'only this excluded domain'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l user -x -d 'bind as this account'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l password-file -r -F -d 'its password'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l principal -x -d 'bind with Kerberos as this principal'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l keytab -r -F -d 'its keytab'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l apply -d 'remove; without it nothing is changed'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l include-primary -d 'primary addresses too'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l limit -x -d 'change at most this many objects'
complete -c rcptsyncctl -n '__rcptsyncctl_in prune-directory' -l yes -d 'do not ask'
