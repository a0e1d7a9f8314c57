"""The ``asyncmirror.toml`` that ``asyncmirror init`` writes. Owns the text: every key there is, with what it means."""

TEMPLATE = """\
# One mirror. `asyncmirror sync RELEASE` in this directory mirrors a release, `asyncmirror sync` all of them.

# The tree. Where this mount is not there, the first of the aliases that is will do: they are mounts of one tree.
root = "/data/public"
# aliases = ["/mnt/public"]

# Where to. What stands at ROOT/a/b becomes the object PREFIX/a/b.
bucket = "my-bucket"
# prefix = "public"

# Directories of root. Without this line, the mirror is of all that is in root.
# releases = ["edr", "dr1"]

# Where the journal is kept, relative to this file. Without this line: below $XDG_STATE_HOME, or ~/.local/state.
# journal = "mirror.sqlite"

# Directories that releases share: what is in the first goes below the second, which is a path below PREFIX.
[common]
# "{release}/target" = "target"
# "{release}/spectro/data" = "raw_spectro_data"

# In the tables below, a key is a flag of `asyncmirror sync` without its dashes, and its value what would stand behind the flag;
# true and false for flags without a value, a list for flags that may repeat. Flags and ASYNCMIRROR_... variables win.

[selection]
# exclude = ["*.tmp", "scratch/"]
# symlinks = "skip"                # skip, follow or record

[connection]
# endpoint-url = "https://s3.example.org"
# profile = "mirror"
# region = "us-west-2"

[objects]
# storage-class = "STANDARD_IA"
# sse = "AES256"
# metadata = "project=desi"

[limits]
# concurrency = "auto"             # requests at once; or a number
# max-memory = "512MiB"
# bwlimit = "08:00,200MiB 19:00,off"  # bytes sent per second, by the clock
# max-requests-per-second = 200
# max-open-files = 256
# part-size = "16MiB"

[behaviour]
# secrets = "refuse"               # refuse, stop or off

# Of a run of the whole mirror; one of a release deletes nothing. --no-delete says no for once.
[deletion]
# delete = true                    # objects whose file is gone, after a whole scan without error
# max-delete = "1%"                # nothing, if it would be more; or a number of objects
# delete-unknown = true            # and objects below prefix that neither the journal nor the tree knows

[service]
# watch = "15m"                    # again and again, until it is stopped; or "at 02:00". --watch off mirrors once
# http = "127.0.0.1:8642"          # a page and metrics
# http-token-file = "/etc/asyncmirror/token"   # for whoever looks; needed if that is no loopback address
# log-file = "/var/log/asyncmirror/mirror.log"
# notify = ["https://hooks.example.org/..."]   # or commands: told when a run ends or needs a person

# What `asyncmirror plan` reckons with, in US dollars: a TB (10^12 bytes) for a month, and 1,000 PUT requests.
[prices]
# storage-price = 23
# request-price = 0.005

[prices.DEEP_ARCHIVE]              # the same, of one storage class
# storage-price = 0.99
# request-price = 0.05

# What `asyncmirror batch RELEASE` aims at.
[batch]
# min-size = "10GB"
# max-size = "1TB"
"""
