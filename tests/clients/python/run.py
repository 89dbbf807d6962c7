"""What an application's server does, with the generated client: CAPTIONS URL KEY FOLDER."""

import pathlib
import subprocess
import sys
import time
from typing import TypeVar

import httpx

from hansard_client import AuthenticatedClient
from hansard_client.api.consent import give_consent, list_consents
from hansard_client.api.meetings import create_meeting, end_meeting, join_meeting, list_meetings, list_participants
from hansard_client.api.recordings import (
    get_recording,
    get_recording_content,
    get_transcript,
    get_transcript_srt,
    list_recordings,
)
from hansard_client.api.streams import open_stream
from hansard_client.api.users import create_user
from hansard_client.models import (
    Codec,
    ConsentInput,
    ConsentPolicy,
    ConsentStatus,
    ConsentType,
    JoinInput,
    MediaKind,
    NewMeetingInput,
    NewStream,
    NewUser,
    Problem,
    Purpose,
    RecordingMode,
    RecordingStatus,
    Role,
    SettingsInput,
)

T = TypeVar("T")

captions, url, key, folder = sys.argv[1:]


def got(answer: T | Problem | None) -> T:
    assert answer is not None and not isinstance(answer, Problem), answer
    return answer


server = AuthenticatedClient(base_url=url, token=key)
new = NewUser(email="ana@example.org", display_name="Ana")
ana = got(create_user.sync(client=server, body=new))
again = create_user.sync(client=server, body=new)
assert isinstance(again, Problem) and again.status == 409 and again.id == ana.id, again

settings = SettingsInput(language="en", recording=RecordingMode.AUDIO, consent_policy=ConsentPolicy.EXCLUDE)
wanted = NewMeetingInput(host_id=ana.id, settings=settings)
meeting = got(create_meeting.sync(client=server, body=wanted, idempotency_key="one"))
joined = got(join_meeting.sync(meeting.id, client=server, body=JoinInput(user_id=ana.id)))
watching = subprocess.Popen([sys.executable, captions, url, key, str(meeting.id)], stdout=subprocess.PIPE, text=True)

participant = AuthenticatedClient(base_url=url, token=joined.token)
said = ConsentInput(
    meeting_id=meeting.id,
    consent_type=ConsentType.RECORDING_AI,
    status=ConsentStatus.ACCEPTED,
    statement="I agree",
)
got(give_consent.sync(client=participant, body=said))
stream = got(
    open_stream.sync(
        meeting.id,
        client=participant,
        body=NewStream(
            participant_id=joined.participant_id,
            kind=MediaKind.AUDIO,
            codec=Codec.OPUS,
            payload_type=111,
            clock_rate=48000,
            ssrc=4026531841,
        ),
    )
)
print("port", stream.ip, stream.port, flush=True)
assert sys.stdin.readline() == "sent\n"

people = got(list_participants.sync(meeting.id, client=server)).data
assert [person.role for person in people] == [Role.HOST] and people[0].consent.recording == ConsentStatus.ACCEPTED
ended = got(end_meeting.sync(meeting.id, client=server))
assert ended.end_time is not None

until = time.monotonic() + 60
while True:
    recordings = got(list_recordings.sync(meeting.id, client=server, limit=200)).data
    final = (RecordingStatus.READY, RecordingStatus.FAILED)
    if len(recordings) >= 2 and all(recording.status in final for recording in recordings):
        break
    assert time.monotonic() < until, recordings
    time.sleep(0.2)

for listed in recordings:
    recording = got(get_recording.sync(listed.id, client=server))
    assert recording.duration_seconds is not None and recording.duration_seconds >= 2, recording
    assert all(gap.end_ms > gap.start_ms for gap in recording.gaps), recording.gaps
    link = got(get_recording_content.sync(listed.id, client=server, redirect=False))
    assert link.url.startswith(url + "/files/"), "the server hands files of its own storage on"
    assert link.expires_at.tzinfo is not None
    # No credential of the API goes to the storage.
    file = httpx.get(link.url)
    file.raise_for_status()
    pathlib.Path(folder, recording.kind.value).write_bytes(file.content)

transcript = got(get_transcript.sync(meeting.id, client=server))
words = [word.text for segment in transcript.segments for word in segment.words]
assert words or not transcript.complete, transcript
assert isinstance(get_transcript_srt.sync(meeting.id, client=server), str)
meetings = got(list_meetings.sync(client=server, host_id=ana.id, limit=1))
assert [one.id for one in meetings.data] == [meeting.id] and meetings.next_cursor is None
entries = got(list_consents.sync(meeting.id, client=server)).data
assert len(entries) == 1 and entries[0].purposes == [Purpose.RECORDING, Purpose.TRANSCRIPTION]

shown, _ = watching.communicate(timeout=60)
assert "recording_state ready" in shown and "closed 4000" in shown, shown
print("done", flush=True)
