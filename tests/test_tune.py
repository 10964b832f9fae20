import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from signloom import cli
from signloom.corpus import Corpus
from signloom.ctc.arpa import read_arpa, write_arpa
from signloom.ctc.decoding import Decoder, Decoding
from signloom.ctc.decoding_options import DecodingOptions, describe, model_note
from signloom.ctc.kneser_ney import kneser_ney
from signloom.errors import InputError
from signloom.inference.limits import TriedLimit, TriedLimits
from signloom.inference.tune import tune
from signloom.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

GRAMMAR = [["HE", "EATS", "FISH"], ["SHE", "DRINKS", "TEA"], ["HE", "EATS", "RICE"], ["SHE", "DRINKS", "MILK"]]
VOCABULARY = Vocabulary.from_glosses(GRAMMAR)


def torn_emission(sentence, rng, sure=0.45):
    """Spikes between blanks, each torn between the gloss that was signed and another, now one ahead, now the other."""
    probs = np.full((4 * len(sentence) + 1, len(VOCABULARY)), 1e-4)
    probs[:, 0] = 1.0
    for number, gloss in enumerate(sentence):
        word, frame = VOCABULARY.encode([gloss])[0], 4 * number + 2
        other = rng.choice([at for at in range(2, len(VOCABULARY)) if at != word])
        share = rng.uniform(sure - 0.1, sure + 0.15)
        probs[frame, [0, word, other]] = 0.05, share, 0.95 - share
    return np.log(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def torn():
    rng = np.random.default_rng(0)
    references = {f"u{number}": GRAMMAR[rng.integers(4)] + GRAMMAR[rng.integers(4)] for number in range(20)}
    return references, {name: torn_emission(sentence, rng) for name, sentence in references.items()}


@pytest.fixture(scope="module")
def grammar_model():
    return kneser_ney([first + second for first in GRAMMAR for second in GRAMMAR], 3).model


@pytest.mark.parametrize("workers", [1, 2])
def test_a_language_model_helps_where_there_is_grammar_and_emissions_are_torn(torn, grammar_model, workers):
    references, emissions = torn
    told = []
    tuned = tune(emissions, references, VOCABULARY, grammar_model, workers=workers, advance=lambda: told.append(1))
    assert tuned.greedy.wer > 0.3
    assert tuned.plain.wer > 0.3
    assert tuned.best.wer < 0.1
    assert tuned.decoding.lm_weight > 0
    assert len(told) == len(tuned.points) >= 30
    assert tuned.best.errors == min(tuned.points.values()) == tuned.points[
        tuned.decoding.lm_weight, tuned.decoding.insertion_bonus
    ]  # fmt: skip
    decoder = Decoder(VOCABULARY, tuned.decoding, grammar_model)
    hypotheses = {item.id: list(item.alignment.hypothesis) for item in tuned.best.utterances}
    assert hypotheses == {name: VOCABULARY.decode(decoder.ids(emissions[name])) for name in references}


def test_a_language_model_that_knows_nothing_gets_no_weight(torn):
    references, _ = torn
    rng = np.random.default_rng(1)
    sure = {name: torn_emission(sentence, rng, sure=0.8) for name, sentence in references.items()}
    shuffled = kneser_ney([list(rng.permutation(VOCABULARY.words[2:])) for _ in range(50)], 1).model
    tuned = tune(sure, references, VOCABULARY, shuffled)
    assert tuned.decoding == Decoding()
    assert tuned.best.errors == 0


def test_a_gain_that_may_be_chance_is_none(torn, grammar_model):
    references, emissions = torn
    rng = np.random.default_rng(1)
    some = {name: torn_emission(sentence, rng, sure=0.8) for name, sentence in references.items()}
    # One of twenty utterances is torn: a third of the draws of a bootstrap lack it.
    beam = Decoder(VOCABULARY, Decoding(), None)
    name = next(name for name in references if beam.ids(emissions[name]) != VOCABULARY.encode(references[name]))
    tuned = tune(some | {name: emissions[name]}, references, VOCABULARY, grammar_model)
    assert tuned.best.errors < tuned.plain.errors
    assert tuned.best_decoding.lm_weight > 0
    assert tuned.decoding == Decoding()


@pytest.fixture(scope="module")
def run_folder(tiny_corpus, tmp_path_factory):
    """A run folder with a model of fixed random weights: enough to see which decoder is used."""
    torch = pytest.importorskip("torch")
    from signloom.inference.model import Model
    from signloom.inference.torch_engine import TorchEngine
    from signloom.model.presets import preset
    from signloom.model.recognizer import Recognizer

    torch.manual_seed(0)
    vocabulary = Vocabulary.from_glosses(item.glosses for item in Corpus.open(tiny_corpus).split("train"))
    folder = tmp_path_factory.mktemp("run")
    Model(TorchEngine(Recognizer(preset("student"), len(vocabulary))), vocabulary).save(folder / "model.safetensors")
    return folder


class TestCommands:
    @pytest.fixture
    def run(self, run_folder, tmp_path):
        return shutil.copytree(run_folder, tmp_path / "run")

    def call(self, *arguments):
        return cli.dispatch([str(argument) for argument in arguments])

    def test_lm_learns_from_training_sentences_alone(self, tiny_corpus, tmp_path, capsys):
        path = tmp_path / "tiny.arpa"
        assert (
            self.call("lm", "--data_dir", tiny_corpus, "--order", 2, "--output", path, "--evaluate", "dev", "test") == 0
        )
        out = capsys.readouterr().out
        assert "tiny, train split: 16 sentences; 2-gram model of 4 glosses" in out
        assert "dev: perplexity" in out
        assert "test: perplexity" in out
        sentences = [item.glosses for item in Corpus.open(tiny_corpus).split("train")]
        expected = kneser_ney(sentences, 2).model
        assert all(
            np.array_equal(found.log_probs, table.log_probs)
            for found, table in zip(read_arpa(path).tables, expected.tables, strict=True)
        )

    def test_lm_takes_sentence_files_and_checks_arpa_files(self, tiny_corpus, tmp_path, capsys):
        text, path = tmp_path / "sentences.txt", tmp_path / "text.arpa"
        text.write_text("UP DOWN\nUP LEFT\n", encoding="utf-8")
        assert self.call("lm", "--sentences", text, "--output", path) == 0
        assert "too few sentences to estimate them" in capsys.readouterr().out
        assert self.call("lm", "--arpa", path, "--evaluate", text, "train", "--data_dir", tiny_corpus) == 0
        assert "3-gram model of 3 glosses" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "give one of --data_dir, --sentences and --arpa"),
            (("--sentences", "a", "--arpa", "b"), "give one of"),
            (("--sentences", "text", "--evaluate", "dev"), "--evaluate dev is a split of a corpus"),
            (("--sentences", "text", "--evaluate", "nothing.txt"), "--evaluate nothing.txt: no such file"),
            (("--sentences", "dev.txt"), "--sentences has sentences of dev"),
        ],
    )
    def test_lm_refuses_what_makes_no_sense(self, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        for name in ("text", "dev.txt"):
            (tmp_path / name).write_text("UP DOWN\n", encoding="utf-8")
        with pytest.raises(InputError, match=message):
            self.call("lm", *arguments)

    def test_tune_stores_what_it_found_and_other_commands_use_it(self, run, tiny_corpus, capsys):
        from signloom.inference.model import load

        assert self.call("tune", run, "--data_dir", tiny_corpus, "--order", 2) == 0
        out = capsys.readouterr().out
        assert "language model: tiny, train split, 2-gram model of 4 glosses" in out
        assert "against greedy" in out
        assert "the settings were chosen on dev" in out
        assert "confidence of one gloss per utterance: not chosen: dev shows nothing but signs of the model" in out
        tuned = load(run)
        assert tuned.info["tuned"]["split"] == "dev"
        assert str(tuned.decoding) in out
        assert not any(tuned.decoding.limits)
        # Whatever was found on random weights: what is stored decides from here on.
        model = kneser_ney([item.glosses for item in Corpus.open(tiny_corpus).split("train")], 3).model
        replace(tuned, decoding=Decoding(beam_size=4, lm_weight=0.5, insertion_bonus=1.5), language_model=model).save(
            run / "model.safetensors"
        )
        named = f"beam 4, 20 tokens per frame, bonus +1.5 per gloss, language model weight 0.5 ({model})"
        for arguments, decoder in (
            ((), named),
            (("--workers", 2), named),
            (("--decoder", "greedy"), "greedy"),
            (("--lm_weight", 0), "beam 4, 20 tokens per frame, bonus +1.5 per gloss"),
            (("--beam_size", 2), named.replace("beam 4", "beam 2")),
        ):
            assert self.call("evaluate", run, "--data_dir", tiny_corpus, "--split", "dev", *arguments) == 0
            assert f"tiny, dev split; decoder: {decoder}\n" in capsys.readouterr().out
            assert json.loads((run / "evaluation-dev.json").read_text())["decoder"] == decoder
        clip = tiny_corpus / "landmarks" / "dev-0.npz"
        found = {}
        for decoder in ("beam", "greedy"):
            assert self.call("transcribe", clip, "--model", run, "--format", "json", "--decoder", decoder) == 0
            found[decoder] = json.loads(capsys.readouterr().out)
        assert found["beam"]["decoder"] == named
        assert found["greedy"]["decoder"] == "greedy"
        # A bonus of 1.5 a gloss on flat emissions: the beam finds more of them.
        assert len(found["beam"]["glosses"]) > len(found["greedy"]["glosses"])

    @pytest.mark.parametrize(("num_true", "sure"), [(60, None), (40, 0.6)])
    def test_a_limit_of_before_goes_where_dev_tells_that_none_pays(
        self, run, tiny_corpus, num_true, sure, monkeypatch, capsys
    ):
        from signloom.commands import tune as command
        from signloom.inference.model import load

        told = TriedLimits((TriedLimit(0.0, 9, num_true, num_true),), 30, 1.0, why_not="none pays")
        monkeypatch.setattr(command, "try_limits", lambda *args, **options: told)
        path = run / "model.safetensors"
        load(run).with_limits(sure=0.6).save(path)
        assert self.call("tune", run, "--data_dir", tiny_corpus, "--order", 2) == 0
        assert "not chosen: none pays" in capsys.readouterr().out
        assert load(run).decoding.sure_confidence == sure

    def test_a_model_file_gives_back_its_language_model(self, run, tiny_corpus):
        from signloom.corpus import Corpus
        from signloom.inference.model import load

        plain = load(run)
        assert (plain.decoding, plain.language_model) == (Decoding(), None)
        language_model = kneser_ney([["UP", "DOWN"], ["LEFT"]], 3).model
        stored = replace(plain, decoding=Decoding(lm_weight=0.3), language_model=language_model)
        stored.save(run / "model.safetensors")
        again = load(run)
        assert again.decoding == stored.decoding
        assert again.language_model.words == language_model.words
        for found, expected in zip(again.language_model.tables, language_model.tables, strict=True):
            for name in ("ids", "log_probs", "backoffs"):
                assert np.array_equal(getattr(found, name), getattr(expected, name))
        clip = Corpus.open(tiny_corpus).utterances[0]
        landmarks = Corpus.open(tiny_corpus).load(clip)
        assert again.transcribe(landmarks) == stored.transcribe(landmarks)

    def test_tune_is_on_dev_alone_and_needs_a_model_of_the_same_glosses(self, run, tiny_corpus, tmp_path):
        with pytest.raises(InputError, match="--split is 'test'; only dev is for tuning"):
            self.call("tune", run, "--data_dir", tiny_corpus, "--split", "test")
        with pytest.raises(InputError, match="need at least 1"):
            self.call("tune", run, "--data_dir", tiny_corpus, "--beam_size", 0)
        write_arpa(kneser_ney([["HAUS", "BAUM"]]).model, tmp_path / "other.arpa")
        with pytest.raises(InputError, match="none of the recogniser's 4 glosses"):
            self.call("tune", run, "--data_dir", tiny_corpus, "--lm", tmp_path / "other.arpa")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "greedy", "lm_weight": 0.5}, "--decoder greedy does not use --lm_weight"),
        ({"beam_size": 0}, "beam_size is 0; needed a whole number of 1 to 100,000"),
        ({"lm_weight": 0.5}, "there is no language model; give one with --lm"),
        ({"lm": "grammar.arpa"}, "--lm grammar.arpa without a weight; give --lm_weight"),
        ({"lm": "missing.arpa", "lm_weight": 1.0}, "missing.arpa: cannot be read"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(grammar_model, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write_arpa(grammar_model, tmp_path / "grammar.arpa")
    with pytest.raises(InputError, match=message):
        DecodingOptions(**options).chosen(Decoding(), None, VOCABULARY)


def test_flags_change_what_is_stored_and_nothing_else(grammar_model, tmp_path):
    stored = Decoding(beam_size=7, lm_weight=0.4, insertion_bonus=1.0)
    assert DecodingOptions().chosen(stored, grammar_model, VOCABULARY) == (stored, grammar_model)
    greedy = Decoding(decoder="greedy")
    assert DecodingOptions(decoder="greedy").chosen(stored, grammar_model, VOCABULARY) == (greedy, None)
    path = tmp_path / "other.arpa"
    write_arpa(kneser_ney([["TEA"]], 1).model, path)
    decoding, model = DecodingOptions(lm=path, beam_size=3).chosen(stored, grammar_model, VOCABULARY)
    assert decoding == replace(stored, beam_size=3)
    assert model.words == ("<unk>", "<s>", "</s>", "TEA")
    assert describe(decoding, model).endswith("language model weight 0.4 (1-gram model of 1 gloss (4 n-grams))")
    assert "does not know 7 of the recogniser's 8 glosses (DRINKS, EATS, FISH, HE, MILK, ...)" in model_note(
        model, VOCABULARY
    )
    assert model_note(grammar_model, VOCABULARY) is None
