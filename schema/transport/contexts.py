"""Makes the context of each operation."""

from dataclasses import dataclass

from live.hub import Hub
from resolvers.context import RequestFacts, Services, Viewer
from schema.context import ApiContext
from schema.transport.answers import SharedAnswers
from schema.transport.sessions import KnownSessions


@dataclass(frozen=True, slots=True)
class Contexts:
    """What every operation of the process shares."""

    services: Services
    hub: Hub
    answers: SharedAnswers
    sessions: KnownSessions

    def make(self, request: RequestFacts, viewer: Viewer | None, *, is_new_viewer: bool = False) -> ApiContext:
        """The context of one operation, with loaders of its own; `is_new_viewer` as there."""
        return ApiContext(
            services=self.services,
            request=request,
            viewer=viewer,
            is_new_viewer=is_new_viewer,
            hub=self.hub,
            answers=self.answers,
        )
