from pathlib import Path

from runtime.settings import Settings, variable_name


def test_every_setting_stands_in_the_docs_and_nothing_else() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    documented = {word for line in text.splitlines() for word in line.split("`") if word.isupper() and "_" in word}
    names = {variable_name(field) for field in Settings.model_fields}
    others = {"SEASON/COMPETITION.json", "PALPITE_", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert documented - others == names
