"""The game through the API: sign up, join, guess, be refused, see boards; with the contract's own documents."""

from typing import Any

import pytest

from tests.support.api import PASSWORD
from tests.support.api_world import World
from tests.support.football import set_match
from tests.support.graphql_client import REDUCED, GraphQLClient, id_of


def _match(world: World, number: int) -> str:
    return id_of("Match", world.tournament.matches[number])


async def test_a_board_ranks_members_and_says_how_fresh_it_is(world: World) -> None:
    answer = await (await world.client(None)).operation("liveScoreboard", id=world.tournament_id)
    board = answer.data["tournament"]["leaderboard"]
    shown = [
        (
            edge["node"]["member"]["nickName"],
            edge["node"]["position"],
            edge["node"]["rank"],
            edge["node"]["points"],
            edge["node"]["exactScores"],
            edge["node"]["guessedMatches"],
            edge["node"]["separatedBy"],
        )
        for edge in board["rows"]["edges"]
    ]

    assert shown == [
        ("Ana", 1, 1, 3, 1, 1, None),
        ("Bob", 2, 2, 3, 0, 1, "EXACT_SCORES"),
        ("Vic", 3, 3, 0, 0, 0, "POINTS"),
    ]
    assert board["rows"]["totalCount"] == 3
    assert board["rows"]["boardMoved"] is False
    assert (board["settledMatches"], board["matches"], board["settledVersion"]) == (1, 6, 1)
    assert board["freshness"]["source"] == "DATABASE"
    assert board["freshness"]["provisional"] is False
    assert [edge["node"]["id"] for edge in answer.data["tournament"]["matches"]["edges"]] == [_match(world, 1)]


async def test_rows_are_paged_and_cursors_are_of_their_board(world: World) -> None:
    client = await world.client(None)
    document = "query ($id: ID!, $after: String) { tournament(id: $id) { leaderboard { rows(first: 2, after: $after) {"
    document += " edges { node { position } } pageInfo { hasNextPage hasPreviousPage endCursor } } } } }"

    first = (await client.run(document, {"id": world.tournament_id})).data["tournament"]["leaderboard"]["rows"]
    cursor = first["pageInfo"]["endCursor"]
    second = (await client.run(document, {"id": world.tournament_id, "after": cursor})).data
    elsewhere = await client.run(
        "query ($after: String) { tournaments(after: $after) { edges { cursor } } }", {"after": cursor}
    )

    assert [edge["node"]["position"] for edge in first["edges"]] == [1, 2]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    rows = second["tournament"]["leaderboard"]["rows"]
    assert [edge["node"]["position"] for edge in rows["edges"]] == [3]
    assert (rows["pageInfo"]["hasNextPage"], rows["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert elsewhere.codes == ["INVALID_INPUT"]


async def test_a_league_shows_its_members_and_board(world: World) -> None:
    answer = await (await world.client(world.bob)).operation("league", id=world.league_id)
    league = answer.data["league"]

    assert league["viewerRole"] == "MEMBER"
    assert league["viewerPermissions"] == ["LEAVE"]
    assert league["founder"]["nickName"] == "Ana"
    assert [(e["node"]["member"]["nickName"], e["node"]["role"]) for e in league["members"]["edges"]] == [
        ("Ana", "ADMIN"),
        ("Bob", "MEMBER"),
        ("Vic", "VIEWER"),
    ]
    assert league["tournaments"][0]["status"] == "ACTIVE"
    assert league["tournaments"][0]["rulesetFrozen"] is True
    board = league["leaderboard"]
    assert [edge["node"]["member"]["nickName"] for edge in board["rows"]["edges"]] == ["Ana", "Bob"]
    assert board["viewerRow"]["rank"] == 2
    assert [row["position"] for row in board["viewerNeighbours"]] == [1, 2]
    assert board["id"] == id_of("Leaderboard", world.league, None, None)


async def test_a_settled_guess_explains_its_points(world: World) -> None:
    answer = await (await world.client(world.ana)).operation(
        "match", REDUCED, id=_match(world, 0), league=world.league_id
    )
    match = answer.data["match"]
    points = match["viewerGuess"]["points"]

    assert match["viewerGuess"]["state"] == "FINALIZED"
    assert (points["points"], points["provisional"], points["countedGoals"]) == (3, False, {"home": 2, "away": 1})
    assert [(line["fact"], line["correct"], line["points"]) for line in points["lines"]] == [
        ("OUTCOME", True, 3),
        ("GOAL_DIFFERENCE", True, 0),
        ("HOME_GOALS", True, 0),
        ("AWAY_GOALS", True, 0),
        ("EXACT", True, 0),
    ]
    assert points["settlement"] == match["settlement"]
    assert match["settlement"]["guesses"] == 2
    assert [(e["node"]["member"]["nickName"], e["node"]["goals"]["home"]) for e in match["guesses"]["edges"]] == [
        ("Ana", 2),
        ("Bob", 1),
    ]


async def test_a_foreign_league_gives_no_guesses_and_no_points(world: World) -> None:
    answer = await (await world.client(world.eve)).operation(
        "match", REDUCED, id=_match(world, 0), league=world.league_id
    )

    assert answer.body["data"]["match"]["guesses"] is None
    assert answer.codes == ["NOT_FOUND"]


async def test_others_guesses_stay_hidden_until_the_lock(world: World) -> None:
    document = "query ($id: ID!) { match(id: $id) { guesses { totalCount edges { node { id } } } } }"
    for member in (world.ana, world.root, world.bob):
        answer = await (await world.client(member)).run(document, {"id": _match(world, 2)})
        assert answer.data["match"]["guesses"] == {"totalCount": 0, "edges": []}
    nobody = await (await world.client(None)).run(document, {"id": _match(world, 0)})
    assert nobody.data["match"]["guesses"] is None


async def test_a_guess_is_saved_again_and_again_until_the_lock(world: World) -> None:
    client = await world.client(world.ana)

    first = await client.operation("saveGuess", input={"matchId": _match(world, 2), "home": 2, "away": 0})
    same = await client.operation("saveGuess", input={"matchId": _match(world, 2), "home": 2, "away": 0})
    other = await client.operation("saveGuess", input={"matchId": _match(world, 2), "home": 0, "away": 0})

    saved = [answer.data["saveGuess"]["guess"] for answer in (first, same, other)]
    assert [guess["revision"] for guess in saved] == [1, 1, 2]
    assert {guess["id"] for guess in saved} == {id_of("Guess", world.tournament.id, world.open, world.ana)}
    assert [guess["state"] for guess in saved] == ["WAITING"] * 3


async def _refusal(client: GraphQLClient, match_id: str, home: int = 1) -> dict[str, Any]:
    answer = await client.operation("saveGuess", input={"matchId": match_id, "home": home, "away": 1})
    payload = answer.data["saveGuess"]
    (error,) = payload["errors"]
    return {"code": error["code"], "field": error["field"], "guess": payload["guess"] and payload["guess"]["goals"]}


async def test_a_refused_guess_says_why_and_shows_what_is_stored(world: World) -> None:
    ana, eve = await world.client(world.ana), await world.client(world.eve)
    await set_match(world.api.database, world.tournament.matches[3], status="POSTPONED")
    await set_match(world.api.database, world.tournament.matches[4], home_team_id=None, home_label="Winner A")

    assert await _refusal(ana, _match(world, 1)) == {
        "code": "MATCH_LOCKED",
        "field": None,
        "guess": {"home": 0, "away": 0},
    }
    assert (await _refusal(ana, _match(world, 3)))["code"] == "MATCH_PAUSED"
    assert (await _refusal(ana, _match(world, 4)))["code"] == "MATCH_NOT_GUESSABLE"
    assert (await _refusal(eve, _match(world, 2))) == {"code": "NOT_JOINED", "field": None, "guess": None}
    assert await _refusal(ana, id_of("Match", world.ana)) == {"code": "NOT_FOUND", "field": ["matchId"], "guess": None}
    assert await _refusal(ana, "nonsense") == {"code": "NOT_FOUND", "field": ["matchId"], "guess": None}
    assert await _refusal(ana, world.tournament_id) == {"code": "NOT_FOUND", "field": ["matchId"], "guess": None}
    assert await _refusal(ana, _match(world, 2), home=100) == {
        "code": "INVALID_INPUT",
        "field": ["home"],
        "guess": None,
    }
    assert (await _refusal(ana, _match(world, 2), home=-1))["code"] == "INVALID_INPUT"


async def _own(client: GraphQLClient, match_id: str) -> dict[str, int] | None:
    answer = await client.run(
        "query ($id: ID!) { match(id: $id) { viewerGuess { goals { home away } } } }", {"id": match_id}
    )
    goals: dict[str, int] | None = answer.data["match"]["viewerGuess"]["goals"]
    return goals


async def test_goals_that_are_no_whole_numbers_are_refused_before_anything_runs(world: World) -> None:
    client = await world.client(world.ana)
    for home in ("1", 1.5, None, 2**31, True):
        answer = await client.operation("saveGuess", input={"matchId": _match(world, 2), "home": home, "away": 1})
        assert answer.codes == ["INVALID_INPUT"], home
        assert "data" not in answer.body
    assert await _own(client, _match(world, 2)) is None


async def test_many_guesses_succeed_or_fail_each_on_its_own(world: World) -> None:
    client = await world.client(world.ana)
    wanted = [
        {"matchId": _match(world, 2), "home": 1, "away": 0},
        {"matchId": _match(world, 1), "home": 1, "away": 0},
        {"matchId": "nonsense", "home": 1, "away": 0},
        {"matchId": _match(world, 3), "home": 1, "away": -1},
        {"matchId": _match(world, 4), "home": 0, "away": 99},
    ]

    payload = (await client.operation("saveGuesses", input={"guesses": wanted})).data["saveGuesses"]

    assert payload["errors"] == []
    assert [result["matchId"] for result in payload["results"]] == [item["matchId"] for item in wanted]
    assert [[(e["code"], e["field"]) for e in result["errors"]] for result in payload["results"]] == [
        [],
        [("MATCH_LOCKED", None)],
        [("NOT_FOUND", ["guesses", "2", "matchId"])],
        [("INVALID_INPUT", ["guesses", "3", "away"])],
        [],
    ]
    assert [result["guess"] and result["guess"]["goals"] for result in payload["results"]] == [
        {"home": 1, "away": 0},
        {"home": 0, "away": 0},
        None,
        None,
        {"home": 0, "away": 99},
    ]


async def test_a_request_of_guesses_that_is_out_of_bounds_changes_nothing(world: World) -> None:
    client = await world.client(world.ana)
    twice = [{"matchId": _match(world, 2), "home": 1, "away": 0}] * 2
    for wanted in ([], twice, [{"matchId": id_of("Match", n), "home": 1, "away": 0} for n in range(101)]):
        payload = (await client.operation("saveGuesses", input={"guesses": wanted})).data["saveGuesses"]
        assert payload["results"] == []
        assert {error["code"] for error in payload["errors"]} == {"INVALID_INPUT"}
    assert await _own(client, _match(world, 2)) is None


async def test_from_sign_up_to_the_first_guess(world: World) -> None:
    client = await world.api.sign_up("Zoe")
    before = (await client.operation("tournaments")).data["tournaments"]["edges"][0]["node"]
    joined = (await client.operation("joinTournament", input={"tournamentId": world.tournament_id})).data
    again = (await client.operation("joinTournament", input={"tournamentId": world.tournament_id})).data
    saved = (await client.operation("saveGuess", input={"matchId": _match(world, 2), "home": 1, "away": 1})).data
    mine = (await client.operation("tournaments", joined=True)).data["tournaments"]["edges"]

    assert before["viewerHasJoined"] is False
    assert joined["joinTournament"]["tournament"]["viewerHasJoined"] is True
    assert again == joined
    assert saved["saveGuess"]["errors"] == []
    assert [edge["node"]["id"] for edge in mine] == [world.tournament_id]


async def test_a_league_from_founding_to_joining(world: World) -> None:
    ana, eve = await world.client(world.ana), await world.client(world.eve)
    wanted = {"name": "  Family ", "description": "Us", "tournamentIds": [world.tournament_id]}
    league = (await ana.operation("createLeague", input=wanted)).data["createLeague"]["league"]
    invite = (await ana.operation("createLeagueInvite", input={"leagueId": league["id"], "maxUses": 1})).data
    invite = invite["createLeagueInvite"]["invite"]
    preview = (await eve.operation("leagueInvite", code=invite["code"])).data["leagueInvite"]
    joined = (await eve.operation("joinLeague", input={"code": invite["code"].lower()})).data["joinLeague"]["league"]
    used_up = (await eve.operation("leagueInvite", code=invite["code"])).data["leagueInvite"]
    late = (await (await world.client(world.root)).operation("joinLeague", input={"code": invite["code"]})).data[
        "joinLeague"
    ]

    assert (league["name"], league["viewerRole"]) == ("Family", "ADMIN")
    assert invite["url"] == f"{world.api.settings.public_url}/join/{invite['code']}"
    assert (invite["uses"], invite["maxUses"], invite["role"]) == (0, 1, "MEMBER")
    assert preview == {"leagueName": "Family", "description": "Us", "founderNickName": "Ana", "memberCount": 1}
    assert (joined["id"], joined["viewerRole"]) == (league["id"], "MEMBER")
    assert used_up is None
    assert [error["code"] for error in late["errors"]] == ["INVITE_INVALID"]


async def test_all_faults_of_an_input_come_together(world: World) -> None:
    wanted = {"name": "x", "description": "y" * 501, "tournamentIds": [id_of("Tournament", world.ana)]}
    payload = (await (await world.client(world.ana)).operation("createLeague", input=wanted)).data["createLeague"]

    assert payload["league"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [
        ("INVALID_INPUT", ["name"]),
        ("INVALID_INPUT", ["description"]),
        ("NOT_FOUND", ["tournamentIds", "0"]),
    ]


async def test_an_operation_answers_with_its_execution_and_an_equal_one_with_the_same(world: World) -> None:
    client = await world.client(world.root)
    wanted = {"operation": {"ingestRounds": {"tournamentId": world.tournament_id}}, "reason": "it is new"}

    first = (await client.operation("runOperation", input=wanted)).data["runOperation"]
    second = (await client.operation("runOperation", input=wanted)).data["runOperation"]
    listed = (await client.operation("adminExecutions", filter={"operations": ["INGEST_ROUNDS"]})).data
    alone = (await client.operation("adminExecution", id=first["execution"]["id"])).data["node"]

    assert (first["alreadyLive"], second["alreadyLive"]) == (False, True)
    assert first["execution"]["state"] == "QUEUED"
    assert first["execution"]["actor"]["nickName"] == "Root"
    assert first["execution"]["tournament"]["label"] == "Test League"
    assert first["execution"]["reportUrl"] is None
    assert second["execution"]["id"] == first["execution"]["id"]
    assert [e["node"]["id"] for e in listed["admin"]["executions"]["edges"]] == [first["execution"]["id"]]
    assert alone["reason"] == "it is new"


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ({"operation": {"settlePending": {}}, "reason": "no"}, [("INVALID_INPUT", ["reason"])]),
        (
            {"operation": {"settleMatch": "nonsense"}, "reason": "because"},
            [("NOT_FOUND", ["operation", "settleMatch"])],
        ),
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused(
    wanted: dict[str, Any], codes: list[tuple[str, list[str]]], world: World
) -> None:
    payload = (await (await world.client(world.root)).operation("runOperation", input=wanted)).data["runOperation"]

    assert payload["execution"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == codes


async def test_two_operations_in_one_are_no_input(world: World) -> None:
    wanted = {"operation": {"settlePending": {}, "ingestRounds": {}}, "reason": "because"}

    answer = await (await world.client(world.root)).operation("runOperation", input=wanted)

    assert answer.codes == ["INVALID_INPUT"]


async def test_the_contract_s_dates_end_with_z(world: World) -> None:
    answer = await (await world.client(None)).run(
        "query ($id: ID!) { match(id: $id) { kickOff } }", {"id": _match(world, 2)}
    )

    assert answer.data["match"]["kickOff"].endswith("Z")


async def test_signing_in_with_a_wrong_password_or_address_says_the_same(world: World) -> None:
    await world.api.sign_up("Zoe")
    client = await world.client(None)
    for email, password in (("zoe@example.org", "wrong password"), ("nobody@example.org", PASSWORD)):
        payload = (await client.operation("signIn", input={"email": email, "password": password})).data["signIn"]
        assert payload["viewer"] is None
        assert [(e["code"], e["message"]) for e in payload["errors"]] == [
            ("INVALID_CREDENTIALS", "E-mail or password is wrong.")
        ]
