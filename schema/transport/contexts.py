"""Makes the context of each operation."""

from dataclasses import dataclass

from live.hub import Hub
from resolvers.context import RequestFacts, Services, Viewer
from schema.context import ApiContext


@dataclass(frozen=True, slots=True)
class Contexts:
    """What every operation of the process shares."""

    services: Services
    hub: Hub

    def make(self, request: RequestFacts, viewer: Viewer | None) -> ApiContext:
        """The context of one operation, with loaders of its own."""
        return ApiContext(services=self.services, request=request, viewer=viewer, hub=self.hub)
