#!/usr/bin/env python3
"""Makes voices for `make bench` out of what Debian has: flite, espeak-ng, festival with festvox-ru
and festvox-italp16k, ffmpeg, and where they are installed the telephone prompts that four people
read in five languages: asterisk-core-sounds-{en,es,fr,it,ru} and the same with -g722.

    benches/voices.py OUT [SET ...]

writes OUT/answers (40 short answers by four voices), OUT/languages (several languages, and a speaker
who changes between two), OUT/people (the same by people) and OUT/half-hour (the sets SET strung
together until 30 minutes are full; the sets in tests/data/speech when none are named). Each is a
folder that `--voices` takes: meeting.json and an Ogg Opus file per speaker, 20 ms packets, all of
one length. PROMPTS_ROOT is where the prompts' packages are unpacked, / unless it is set.
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import wave
from array import array

RATE = 16_000
GAP_MS = 3_000

ANSWERS = [
    "Okay.", "So.", "Thank you.", "Yes.", "No.", "Right.", "Sure.", "Good morning.", "Hello.", "Maybe.",
    "I see.", "Of course.", "Not yet.", "Exactly.", "Why?", "Thanks.", "Done.", "Next.", "Me too.", "Goodbye.",
]

RUSSIAN = ("festival", "voice_msu_ru_nsh_clunits")
ITALIAN = ("festival", "voice_lp_diphone")

LANGUAGES = {
    "Dora": ("de", ("espeak", "de"), [
        "Guten Morgen zusammen, wir beginnen mit dem Bericht.",
        "Die neue Version wurde gestern getestet und läuft ohne Fehler.",
        "Wer möchte als nächstes sprechen?",
        "Vielen Dank, das war alles für heute.",
    ]),
    "Elena": ("es", ("espeak", "es"), [
        "Buenos días a todos, empezamos con el informe.",
        "La nueva versión se probó ayer y funciona sin errores.",
        "La reunión de mañana empieza a las nueve.",
        "Muchas gracias, eso es todo por hoy.",
    ]),
    "Olga": ("ru", RUSSIAN, [
        "Доброе утро, мы начинаем с отчёта.",
        "Новая версия была проверена вчера и работает без ошибок.",
        "Завтра утром мы посмотрим на цифры за прошлый месяц.",
        "Большое спасибо, на сегодня это всё.",
    ]),
    "Lucia": ("it", ITALIAN, [
        "Buongiorno a tutti, cominciamo con il rapporto.",
        "La nuova versione funziona senza errori.",
        "Domani mattina guardiamo i numeri del mese scorso.",
        "Grazie mille, per oggi abbiamo finito.",
    ]),
}

# Says some in one language, some in another, and goes on in the first.
SWITCH = ("Max", [
    ("en", ("flite", "rms"), "Good morning everyone, I will start with the report."),
    ("en", ("flite", "rms"), "The new version was tested yesterday and it works."),
    ("it", ITALIAN, "Adesso continuo in italiano, se per voi va bene."),
    ("it", ITALIAN, "La nuova versione funziona senza errori."),
    ("it", ITALIAN, "Domani mattina guardiamo i numeri del mese scorso."),
    ("en", ("flite", "rms"), "And now I am going back to English for the summary."),
    ("en", ("flite", "rms"), "We will ship the new version at the end of the week."),
    ("en", ("flite", "rms"), "Please send me your questions by tomorrow evening."),
])

PROMPTS = pathlib.Path(os.environ.get("PROMPTS_ROOT", "/")) / "usr/share"
ALLISON_EN, ALLISON_ES = ("en", "en_US_f_Allison"), ("es", "es_MX_f_Allison")
# Who reads which prompts, in turns. Allison reads English and Spanish.
PEOPLE = {
    "June": [(("fr", "fr_CA_f_June"), prompt) for prompt in (
        "agent-newlocation", "check-number-dial-again", "conf-invalid", "conf-onlyperson",
        "conf-waitforleader", "confbridge-pin-bad", "confbridge-remove-last-in", "confbridge-pin")],
    "Carlo": [(("it", "it_IT_m_Carlo"), prompt) for prompt in (
        "agent-newlocation", "conf-getconfno", "conf-invalid", "confbridge-begin-glorious-c",
        "confbridge-lock-no-join", "confbridge-pin-bad", "confbridge-remove-last-in", "followme/sorry")],
    "Vera": [(("ru", "ru_RU_f_IvrvoiceRU"), prompt) for prompt in (
        "check-number-dial-again", "conf-invalid", "conf-waitforleader", "confbridge-lock-no-join",
        "confbridge-pin-bad", "demo-nomatch", "enter-num-blacklist", "followme/pls-hold-while-try")],
    "Allison": [(ALLISON_EN, prompt) for prompt in ("conf-onlyperson", "conf-invalid", "confbridge-lock-no-join")]
    + [(ALLISON_ES, prompt) for prompt in ("conf-onlyperson", "conf-invalid", "conf-getpin")]
    + [(ALLISON_EN, prompt) for prompt in ("confbridge-pin-bad", "agent-newlocation")],
}


def pcm_of(path):
    """16 kHz mono samples of any sound file."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"],
        check=True, stdout=subprocess.PIPE).stdout
    return array("h", raw)


def trimmed(pcm):
    """Without what is quieter than 1/60 of the peak before and after."""
    loud = max(max(pcm), -min(pcm)) / 60
    heard = [n for n, sample in enumerate(pcm) if abs(sample) > loud]
    return pcm[heard[0]:heard[-1] + 1]


def said(engine, voice, text, folder):
    path = pathlib.Path(folder) / "said.wav"
    if engine == "flite":
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    elif engine == "festival":
        subprocess.run(["text2wave", "-eval", f"({voice})", "-o", str(path)], input=text.encode(), check=True)
    else:
        subprocess.run(["espeak-ng", "-v", voice, "-s", "145", "-w", str(path), text], check=True)
    return trimmed(pcm_of(path))


def write(folder, name, script):
    """`script`: (speaker, language, text, samples), one after another."""
    at, tracks, utterances = GAP_MS * RATE // 1000, {}, []
    length = at + sum(len(pcm) + GAP_MS * RATE // 1000 for _, _, _, pcm in script)
    for speaker, language, text, pcm in script:
        track = tracks.setdefault(speaker, array("h", bytes(2 * length)))
        track[at:at + len(pcm)] = pcm
        utterances.append({"speaker": speaker, "language": language, "text": text,
                           "start_ms": at * 1000 // RATE, "end_ms": (at + len(pcm)) * 1000 // RATE})
        at += len(pcm) + GAP_MS * RATE // 1000
    finish(folder, name, tracks, utterances)


def finish(folder, name, tracks, utterances):
    folder.mkdir(parents=True, exist_ok=True)
    for speaker, track in tracks.items():
        track.extend([0] * (-len(track) % (RATE // 50)))
        with tempfile.TemporaryDirectory() as temporary:
            wav = pathlib.Path(temporary) / "track.wav"
            with wave.open(str(wav), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(track.tobytes())
            encode(wav, folder / f"{speaker}.opus")
    meeting = {"name": name, "duration_ms": max(map(len, tracks.values())) * 1000 // RATE,
               "participants": [{"name": speaker} for speaker in tracks], "utterances": utterances}
    (folder / "meeting.json").write_text(json.dumps(meeting, indent=1, ensure_ascii=False))


def encode(wav, opus):
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(wav), "-ac", "1", "-ar", "48000", "-c:a", "libopus",
                    "-b:a", "32k", "-frame_duration", "20", "-application", "voip", str(opus)], check=True)


def answers(out, temporary):
    script, voices = [], ["slt", "rms", "awb", "kal16"]
    for n in range(40):
        text, voice = ANSWERS[n % len(ANSWERS)], voices[n % 4 if n < 20 else (n + 1) % 4]
        script.append((voice.capitalize(), "en", text, said("flite", voice, text, temporary)))
    write(out / "answers", "answers", script)


def languages(out, temporary):
    script = []
    for turn in range(4):
        for speaker, (language, voice, texts) in LANGUAGES.items():
            script.append((speaker, language, texts[turn], said(*voice, texts[turn], temporary)))
        for language, voice, text in SWITCH[1][2 * turn:2 * turn + 2]:
            script.append((SWITCH[0], language, text, said(*voice, text, temporary)))
    write(out / "languages", "languages", script)


def prompt_text(language, prompt):
    package = f"asterisk-core-sounds-{language}"
    texts = gzip.decompress((PROMPTS / f"doc/{package}/core-sounds-{language}.txt.gz").read_bytes())
    said = next(line for line in texts.decode().splitlines() if line.startswith(f"{prompt}:"))
    return said.split(":", 1)[1].replace("...", "").strip(' "')


def people(out):
    folders = {folder for prompts in PEOPLE.values() for (_, folder), _ in prompts}
    missing = sorted(folder for folder in folders if not (PROMPTS / "asterisk/sounds" / folder).is_dir())
    if missing:
        print(f"no {out / 'people'}: the prompts {', '.join(missing)} are not in {PROMPTS}", file=sys.stderr)
        return
    script = []
    for turn in zip(*PEOPLE.values()):
        for speaker, ((language, folder), prompt) in zip(PEOPLE, turn):
            pcm = trimmed(pcm_of(PROMPTS / "asterisk/sounds" / folder / f"{prompt}.g722"))
            script.append((speaker, language, prompt_text(language, prompt), pcm))
    write(out / "people", "people", script)


def half_hour(out, sets):
    """The sets one after another, again and again until 30 minutes are full."""
    loaded = []
    for folder in sets:
        meeting = json.loads((folder / "meeting.json").read_text())
        tracks = {one["name"]: pcm_of(folder / f"{one['name']}.opus") for one in meeting["participants"]}
        loaded.append((meeting, tracks))
    length, order = 0, []
    while length < 30 * 60 * RATE:
        for meeting, tracks in loaded:
            order.append((length, meeting, tracks))
            length += meeting["duration_ms"] * RATE // 1000
    joined, utterances = {}, []
    for at, meeting, tracks in order:
        for speaker, pcm in tracks.items():
            track = joined.setdefault(f"{meeting['name']}-{speaker}", array("h", bytes(2 * length)))
            end = min(at + len(pcm), length)
            track[at:end] = pcm[:end - at]
        utterances += [{**one, "speaker": f"{meeting['name']}-{one['speaker']}",
                        "start_ms": at * 1000 // RATE + one["start_ms"], "end_ms": at * 1000 // RATE + one["end_ms"]}
                       for one in meeting["utterances"]]
    finish(out / "half-hour", "half-hour", joined, utterances)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    data = pathlib.Path(__file__).resolve().parent.parent / "tests/data/speech"
    sets = [pathlib.Path(one) for one in sys.argv[2:]] or [data / "planning", data / "incident"]
    with tempfile.TemporaryDirectory() as temporary:
        answers(out, temporary)
        languages(out, temporary)
    people(out)
    half_hour(out, sets)


if __name__ == "__main__":
    main()
