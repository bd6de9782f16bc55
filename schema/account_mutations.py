"""Writes of accounts: a part of the root."""

import strawberry

from domain.member.model import Account
from resolvers import member as members
from resolvers.context import Context
from schema import ids
from schema.admin_member import AdminMember, AdminMemberPayload, ChangePlatformRoleInput
from schema.context import Info
from schema.deletion import DeleteAccountInput, DeleteAccountPayload
from schema.ids import global_id, required
from schema.outcome import outcome
from schema.rights_first import mutation
from schema.shared import given
from schema.viewer import RevokeSessionInput, RevokeSessionPayload, UpdateProfileInput, Viewer, ViewerPayload


@strawberry.type
class AccountMutations:
    @mutation(members.update_profile, description="Change nick name or time zone.")
    async def update_profile(self, info: Info, input: UpdateProfileInput) -> ViewerPayload:
        account, errors = await outcome(lambda: _update_profile(info.context, input))
        return ViewerPayload(viewer=Viewer.from_domain(account) if account else None, errors=errors)

    @mutation(members.revoke_session, description="End one of the viewer's sessions; its sockets close.")
    async def revoke_session(self, info: Info, input: RevokeSessionInput) -> RevokeSessionPayload:
        revoked, errors = await outcome(
            lambda: members.revoke_session(
                info.context, session_id=required(ids.session_id(input.session_id), "session", "sessionId")
            )
        )
        return RevokeSessionPayload(revoked_session_id=input.session_id if revoked else None, errors=errors)

    @mutation(members.delete_account, description="Delete the viewer's account. Cannot be undone.")
    async def delete_account(self, info: Info, input: DeleteAccountInput) -> DeleteAccountPayload:
        deleted, errors = await outcome(
            lambda: members.delete_account(info.context, mode=input.erasure, confirm_nick_name=input.confirm_nick_name)
        )
        return DeleteAccountPayload(deleted_member_id=global_id("Member", deleted) if deleted else None, errors=errors)

    @mutation(
        members.change_platform_role,
        description="Make a member a platform admin, or no longer one; the last admin stays. Platform admins.",
    )
    async def change_platform_role(self, info: Info, input: ChangePlatformRoleInput) -> AdminMemberPayload:
        changed, errors = await outcome(
            lambda: members.change_platform_role(
                info.context,
                member_id=required(ids.member_id(input.member_id), "member", "memberId"),
                role=input.role,
                reason=input.reason,
            )
        )
        return AdminMemberPayload(admin_member=AdminMember.from_domain(changed) if changed else None, errors=errors)


async def _update_profile(context: Context, wanted: UpdateProfileInput) -> Account:
    wanted.check()
    return await members.update_profile(context, nick_name=given(wanted.nick_name), time_zone=given(wanted.time_zone))
