"""One item table and one set of sessions a bundle, shared by the front door and the leaves of this process."""

from pathlib import Path

from penchant.bundle import Manifest
from penchant.errors import UnknownBundle
from penchant.features import FeatureSchema
from services.feature_store.open import BEFORE_BUNDLES
from services.recommender.catalogue import Catalogue
from services.runtime.bundles import BundleHolder
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle


class SharedBundles:
    """Bundles as every part of the process sees them."""

    def __init__(self, bundles: Path, feed: ItemFeed, index: str, poll_s: float) -> None:
        self._feed = feed
        self._index = index
        self._catalogues: dict[str, Catalogue] = {}
        self.holder: BundleHolder[LoadedBundle] = BundleHolder(bundles, self._load, poll_s)

    def catalogue(self, version: str) -> Catalogue:
        """The front door's view of a bundle that is held. Raises UnknownBundle."""
        self.holder.get(version)
        found = self._catalogues.get(version)
        if found is None:
            raise UnknownBundle(f"bundle {version!r} is not held here any more")
        return found

    def schema(self) -> FeatureSchema:
        """The published bundle's; the default one before the first bundle."""
        return self.holder.newest.schema if self.holder.versions else BEFORE_BUNDLES

    def _load(self, folder: Path, manifest: Manifest) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, index=self._index)
        self._feed.attach(bundle.table, bundle.embed)
        held = {version: c for version, c in self._catalogues.items() if version in self.holder.versions}
        self._catalogues = {**held, manifest.version: Catalogue.open(folder, manifest, bundle.table)}
        return bundle
