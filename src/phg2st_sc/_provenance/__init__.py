"""What results carry so that they can be trusted later: versions, names, fingerprints."""

from ._fingerprint import FINGERPRINTS, fingerprint, trained_on
from ._versions import names_hash, package_versions

__all__ = ["FINGERPRINTS", "fingerprint", "names_hash", "package_versions", "trained_on"]
