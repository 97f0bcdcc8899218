"""Chromium's DevTools protocol over a pipe: calls and their answers, functions that a page may call, and
requests of a page that we answer ourselves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from testbed.browser.chromium import START_S, Browser, BrowserError

CALL_S = 60.0
"""For an answer."""
_END = b"\0"
"""Of a message."""

Answer = Callable[[str], Awaitable[tuple[int, str]]]
"""(body of a POST) -> (status, body as JSON)."""


class Tab:
    """A page of a browser. `listen` has to run for as long as anything is asked."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._session: str | None = None
        self._number = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._called: dict[str, Callable[[str], None]] = {}
        self._answer: Answer | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._lost: BrowserError | None = None

    async def attach(self) -> None:
        """Take the browser's first page.

        Raises:
            BrowserError: it doesn't answer, or has none.
        """
        try:
            async with asyncio.timeout(START_S):
                targets = (await self.ask("Target.getTargets"))["targetInfos"]
                while not (pages := [one for one in targets if one["type"] == "page"]):
                    await asyncio.sleep(0.05)
                    targets = (await self.ask("Target.getTargets"))["targetInfos"]
        except (BrowserError, TimeoutError) as error:
            raise BrowserError(f"the browser did not start: {error}", "no-browser") from None
        found = await self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = str(found["sessionId"])

    async def listen(self) -> str:
        """Take what the browser says, until it says nothing any more; how it has gone then."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                text = await self.browser.answers.readuntil(_END)
                if self._heard(json.loads(text[: -len(_END)])):
                    break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.browser.process.wait()
        self._lost = BrowserError(f"the browser has gone: {self.browser.ended}")
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(self._lost)
        return str(self._lost)

    def _heard(self, said: dict[str, Any]) -> bool:
        """Take a message; whether it was the last one of the page."""
        method = said.get("method")
        if "id" in said:
            waiting = self._asked.pop(said["id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
        elif method == "Runtime.bindingCalled":
            call = self._called.get(said["params"]["name"])
            if call is not None:
                call(said["params"]["payload"])
        elif method == "Fetch.requestPaused":
            task = asyncio.create_task(self._fulfil(said["params"]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        return method == "Inspector.targetCrashed"

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A method's result.

        Raises:
            BrowserError: the browser has gone, refuses, or does not answer in time.
        """
        if self._lost is not None:
            raise self._lost
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = answer
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            self.browser.commands.write(json.dumps(message).encode() + _END)
            async with asyncio.timeout(CALL_S):
                said = await answer
        except (OSError, ValueError):
            raise BrowserError(f"the browser has gone: {self.browser.ended}") from None
        except TimeoutError:
            raise BrowserError(f"the browser has not answered {method} for {CALL_S:g} s") from None
        if "error" in said:
            raise BrowserError(f"the browser refuses {method}: {said['error'].get('message')}")
        result: dict[str, Any] = said["result"]
        return result

    async def offer(self, name: str, call: Callable[[str], None]) -> None:
        """Give pages a function that hands a text to `call`."""
        self._called[name] = call
        await self.ask("Runtime.addBinding", name=name)

    async def answer(self, pattern: str, answer: Answer) -> None:
        """Answer the page's requests to such URLs (`*` for anything) in the server's place."""
        self._answer = answer
        await self.ask("Fetch.enable", patterns=[{"urlPattern": pattern}])

    async def _fulfil(self, paused: dict[str, Any]) -> None:
        assert self._answer is not None
        status, body = await self._answer(str(paused["request"].get("postData", "")))
        with contextlib.suppress(BrowserError):  # it has gone: whoever waits for it is told
            await self.ask(
                "Fetch.fulfillRequest",
                requestId=paused["requestId"],
                responseCode=status,
                responseHeaders=[{"name": "Content-Type", "value": "application/json"}],
                body=base64.b64encode(body.encode()).decode(),
            )

    async def value(self, expression: str) -> Any:
        """What an expression of the page comes to, once its promise has an answer.

        Raises:
            BrowserError: it throws, with the text of what was thrown; or as `ask`.
        """
        answer = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"].get("exception", {})
            said = str(thrown.get("description") or thrown.get("value") or "the page failed")
            raise BrowserError(said.splitlines()[0].removeprefix("Error: "), "page-failed")
        return answer["result"].get("value")
