"""The tool that breaks formulas finds the lines to break and the tests that should notice."""

import pytest

from tests import mutation


def test_every_module_has_tests():
    modules = [path.stem for path in (mutation.ROOT / "am_theory").glob("*.py")]
    assert [name for name in modules if name != "__init__" and not mutation.test_files(name)] == []
    for name, users in mutation.USERS.items():
        assert name in modules
        for user in users:
            assert (mutation.TESTS / f"test_{user}.py").is_file()


def test_changes_one_thing_of_a_line(tmp_path):
    module = tmp_path / "double.py"
    module.write_text("def double(x):\n    return -x * 2\n")
    found = mutation.mutations(module)
    assert sorted(each.after for each in found) == [
        "return -x * 3",
        "return -x / 2",
        "return x * 2",
    ]
    assert {each.before for each in found} == {"return -x * 2"}
    assert {(each.module, each.line) for each in found} == {("double", 2)}


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "has no module nothing"), ("__init__", "has no formula to break")],
)
def test_refuses_what_it_cannot_draw_from(name, message, capsys):
    with pytest.raises(SystemExit):
        mutation.main(["--modules", name])
    assert message in capsys.readouterr().err


def test_refuses_a_module_without_tests(monkeypatch, capsys):
    monkeypatch.delitem(mutation.USERS, "_gaussian")
    with pytest.raises(SystemExit):
        mutation.main(["--modules", "_gaussian"])
    assert "No tests of am_theory._gaussian" in capsys.readouterr().err
