"""What the page on simulated signing tells: the presets, the keys of the truth, and how to use it."""

import re
from pathlib import Path

import pytest

from signloom.drawing.preview import check_preview_path
from signloom.errors import InputError
from signloom.synth.corpus import synthesise
from signloom.synth.dials import PRESETS, Dials, dial_names
from signloom.synth.options import SynthOptions
from signloom.synth.plans import make_plans
from signloom.synth.sentences import read_sentences

PAGE = Path(__file__).resolve().parents[1] / "docs" / "simulated-signing.md"
FEW = SynthOptions(num_signs=3, num_signers=2, num_test_signers=1, num_train=2, num_dev=0, num_test=2, max_glosses=3)


def table(first_column):
    """The rows of the table of the page whose head begins with `first_column`, head first."""
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(rf"^\| {first_column} \|.*?(?:\n(?!\|)|\Z)", text, flags=re.S | re.M).group()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
    return [row for row in rows if set(row[0]) != {"-"}]


def test_the_page_shows_what_each_preset_sets():
    def shown(value):
        return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"

    head, *rows = table("dial")
    assert head == ["dial", *PRESETS]
    dials = [Dials(preset=preset) for preset in PRESETS]
    assert rows == [[f"`{name}`", *(shown(getattr(set_up, name)) for set_up in dials)] for name in dial_names()]


def test_the_page_names_every_key_of_the_truth_and_its_python_reads_it(tmp_path, monkeypatch, capsys):
    corpus = synthesise(FEW, tmp_path / "corpus")
    named = [name for key, _ in table("key")[1:] for name in re.findall(r"`(\w+)`", key)]
    assert sorted(named) == sorted(corpus.utterances[0].truth)
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)
    exec(source, {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == sum(len(utterance.glosses) for utterance in corpus.split("test"))
    assert all(re.fullmatch(r"signer02 \S+ \([1-9]\d*, 543, 3\)", line) for line in lines)


@pytest.mark.slow
def test_training_sentences_without_room_for_every_sign_are_refused():
    # Two glosses a sentence, and rest takes one of them in about half of the sentences.
    options = SynthOptions(num_signs=60, num_train=30, min_glosses=2, max_glosses=2)
    with pytest.raises(InputError, match="30 training utterances have no room for all 60 signs beside pointing"):
        make_plans(options)


def test_what_cannot_be_written_is_told_before_anything_is_simulated(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="file is a file; needed a folder for the corpus"):
        synthesise(FEW, file)
    with pytest.raises(InputError, match="file is a file; needed a folder for the corpus"):
        synthesise(FEW, file / "corpus")
    with pytest.raises(InputError, match=r"--preview is .*sheet.png; nothing can be written in .*file"):
        check_preview_path(file / "sheet.png")


def test_a_picture_in_which_nothing_can_be_seen_is_refused():
    with pytest.raises(InputError, match="--image_size is 640x31; needed at least 32 pixels each way"):
        SynthOptions(image_size="640x31")


def test_a_file_of_sentences_is_given_once(tmp_path):
    file = tmp_path / "all.txt"
    file.write_text("A B\n")
    with pytest.raises(InputError, match=r"all.txt: given 2 times; give each file once"):
        read_sentences([file, tmp_path / "." / "all.txt"])


def test_sentences_of_nothing_but_rest_are_refused(tmp_path):
    file = tmp_path / "all.txt"
    file.write_text("__ON__ __OFF__\n")
    with pytest.raises(InputError, match="sentences: nothing but rest .__ON__, __OFF__.; needed at least one sign"):
        make_plans(SynthOptions(sentences=(file,)))


def test_files_of_one_name_in_two_folders_are_both_recorded(tmp_path):
    files = [tmp_path / folder / "all.txt" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text(f"{file.parent.name}\n")
    first = SynthOptions(sentences=tuple(files))
    assert list(first.record()["sentences"]) == ["all.txt", "all.txt (2)"]
    before = first.digest
    files[0].write_text("other\n")
    assert first.digest != before
