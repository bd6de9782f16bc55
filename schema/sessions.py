"""How a new session is handed over: as a cookie, or as a token in the payload."""

from domain.member.model import NewSession
from resolvers.context import Context
from schema.shared import UserError
from schema.viewer import SessionDelivery, SessionPayload, Viewer


def session_payload(
    context: Context, session: NewSession | None, delivery: SessionDelivery, errors: list[UserError]
) -> SessionPayload:
    """The payload of a sign-in; a token is shown once, and only to whom asked for it."""
    if session is None:
        return SessionPayload(viewer=None, token=None, errors=errors)
    by_cookie = delivery is SessionDelivery.COOKIE
    if by_cookie:
        context.cookie.token = session.token
    token = None if by_cookie else session.token
    return SessionPayload(viewer=Viewer.from_domain(session.account), token=token, errors=[])
