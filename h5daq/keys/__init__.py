"""Keys on disk: the writer's directory with its list, and the one file that everybody else needs.

In the directory are ``writer.key`` (the writer's own pair), ``allowed.toml`` (who is let in, see
`h5daq.flow.allowlist`) and, until they are moved to their users, the private keys that were made
here. As with ssh, what is private has the mode 0600 in a directory of 0700, and a private key that
others may read is refused.
"""

from h5daq.keys.directory import ALLOWED, KeyDirectory
from h5daq.keys.keyfile import OPERATOR, find_keys, load_keys, save_keys

__all__ = ["ALLOWED", "OPERATOR", "KeyDirectory", "find_keys", "load_keys", "save_keys"]
