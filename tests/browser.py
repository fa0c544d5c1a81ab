"""A headless Chromium, driven through its DevTools protocol: what a page asked for, and what went wrong on it.

The protocol runs over a pair of pipes (`--remote-debugging-pipe`: JSON messages that end in a zero byte, read from file
descriptor 3 and written to 4), so no driver and no further package is needed.
"""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

NAMES = ("chromium", "google-chrome")


@dataclass
class Visit:
    """What opening one page did."""

    url: str
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answer: object = None  # of the expression that was evaluated on the loaded page


class Browser:
    def __init__(self, to: int, back: int) -> None:
        self._to = to
        self._back = back
        self._last = 0
        self._unread = b""

    def visit(
        self, url: str, expression: str, timeout: float = 30, width: int | None = None, media: str = "screen"
    ) -> Visit:
        """Open `url` in a tab of its own, wait until it has loaded and fallen silent, evaluate `expression` there.

        width: of a phone's screen or a sheet of paper in CSS pixels; without, the tab is a window of a desk's.
        media: "screen", or "print" for the style of paper.
        """
        visit = Visit(url)
        target = self._ask("Target.createTarget", visit, url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", visit, targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            self._ask(f"{domain}.enable", visit, session=session)
        self._ask("Page.setLifecycleEventsEnabled", visit, session=session, enabled=True)
        if width:
            phone = {"width": width, "height": 2 * width, "deviceScaleFactor": 2, "mobile": True}
            self._ask("Emulation.setDeviceMetricsOverride", visit, session=session, **phone)
        self._ask("Emulation.setEmulatedMedia", visit, session=session, media=media)
        self._ask("Page.navigate", visit, session=session, url=url)
        self._wait_until_idle(visit, time.monotonic() + timeout)
        result = self._ask(
            "Runtime.evaluate", visit, session=session, expression=expression, awaitPromise=True, returnByValue=True
        )
        visit.answer = result["result"].get("value")
        self._ask("Target.closeTarget", visit, targetId=target)
        return visit

    def _wait_until_idle(self, visit: Visit, deadline: float) -> None:
        loaded = False
        while True:
            message = self._read(deadline)
            self._note(message, visit)
            # networkIdle is said of the blank page too, so only one after the load counts
            loaded |= message.get("method") == "Page.loadEventFired"
            if loaded and message.get("params", {}).get("name") == "networkIdle":
                return

    def _ask(self, method: str, visit: Visit, session: str | None = None, **params: object) -> dict:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        os.write(self._to, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        deadline = time.monotonic() + 30
        while (reply := self._read(deadline)).get("id") != self._last:
            self._note(reply, visit)
        assert "error" not in reply, reply
        return reply["result"]

    def _read(self, deadline: float) -> dict:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._back], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("Chromium said nothing for too long")
            self._unread += os.read(self._back, 1 << 16)
        message, self._unread = self._unread.split(b"\0", 1)
        return json.loads(message)

    @staticmethod
    def _note(message: dict, visit: Visit) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                visit.requests.append(params["request"]["url"])
            case "Network.responseReceived" if params["response"]["status"] >= 400:
                visit.problems.append(f"{params['response']['status']} {params['response']['url']}")
            case "Network.loadingFailed" if not params.get("canceled"):
                visit.problems.append(f"failed request: {params['errorText']}")
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                visit.problems.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                visit.problems.append(f"{params['entry']['text']} ({params['entry'].get('url', visit.url)})")
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "assert"}:
                visit.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))


@contextmanager
def chromium(profile: os.PathLike) -> Iterator[Browser]:
    """A Chromium whose user data lie in the folder `profile`."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program, "no Chromium; `workflow/system-packages test` installs or names it"
    command = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    # The sandbox refuses to run as root, /dev/shm is small in containers, and the first start phones home.
    command += ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    command += ["--no-first-run", "--disable-component-update", "--no-default-browser-check"]
    to_read, to = os.pipe()
    back, back_write = os.pipe()
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{back_write}', "bash", *command],
        pass_fds=(to_read, back_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(back_write)
    try:
        yield Browser(to, back)
    finally:
        os.close(to)  # Chromium ends when its pipe does
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(back)
