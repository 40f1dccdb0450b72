"""source_state: what the service would hold of a source after the reads of source-read.

    state = SourceState()
    state.take(source_read.read(…, print=True))
    state.objects == recipients(controller)     # key in hex → (DN, values)
"""


class SourceState:
    def __init__(self):
        self.objects = {}

    def take(self, answer):
        """Applies a complete read, change by change in the order in which they came. Of a failed one
        nothing is believed."""
        if not answer.complete:
            return
        whole = answer.fields["kind"] == "full" or answer.fields["unseen_gone"] == "true"
        old, new = self.objects, {} if whole else dict(self.objects)
        for line in answer.output.splitlines():
            what, _, rest = line.partition("\t")
            if what == "restart":
                new = {} if whole else dict(old)
            elif what == "object":
                key, _, drop, origin, *values = rest.split("\t")
                new[key] = (origin, tuple(sorted(value.partition("=")[2] for value in values)) if drop == "0" else ())
            elif what == "present":
                if rest in old:
                    new[rest] = old[rest]
                else:
                    raise AssertionError(f"{rest} is said to be unchanged, but was never seen")
            elif what == "remove":
                new.pop(rest, None)
        self.objects = new


def differences(got, wanted):
    """What is wrong with `got`, a few lines for a person; empty if nothing is."""
    lines = [f"missing {key} {wanted[key]}" for key in wanted if key not in got]
    lines += [f"too much {key} {got[key]}" for key in got if key not in wanted]
    lines += [f"differs {key}\n  got    {str(got[key])[:300]}\n  wanted {str(wanted[key])[:300]}"
              for key in got if key in wanted and got[key] != wanted[key]]
    more = len(lines) - 8
    return "\n".join(lines[:8] + ([f"and {more} more"] if more > 0 else []))
