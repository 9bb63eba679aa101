"""What results carry so that they can be trusted later: versions, names, fingerprints."""

from ._fingerprint import FINGERPRINTS, SHORTENED, fingerprint, shortened, trained_on
from ._versions import names_hash, package_versions

__all__ = [
    "FINGERPRINTS",
    "SHORTENED",
    "fingerprint",
    "names_hash",
    "package_versions",
    "shortened",
    "trained_on",
]
