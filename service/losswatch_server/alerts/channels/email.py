"""E-mail over the operator's SMTP server: text and HTML, one thread per group.

Headers are made by ``EmailMessage``, which refuses line breaks; what a client wrote is put on one line before. The
message id comes from the notification's, so that a repeated delivery is recognised.
"""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from urllib.parse import unquote

from losswatch_server.alerts.channels.channel import Channel, ChannelDeps, Links, MailServer
from losswatch_server.alerts.channels.formatting import clip, colour, evidence, footer, lines, one_line
from losswatch_server.alerts.egress.redaction import scrub
from losswatch_server.alerts.egress.retry import Outcome, Result
from losswatch_server.alerts.message import Message
from losswatch_server.alerts.targets import Target

MAX_LINES = 100
MAX_RECIPIENTS = 20
PICTURE = "chart@losswatch"


def payload(
    message: Message, links: Links, sender: str, recipients: list[str], picture: bytes | None = None
) -> EmailMessage:
    """The mail, with the picture (PNG) in it, so that nothing has to be fetched."""
    mail = EmailMessage(policy=SMTP)
    domain = sender.rpartition("@")[2]
    state = "resolved" if message.is_recovery else message.severity.value
    mail["Subject"] = clip(one_line(f"[{state}] {message.title}"), 200)
    mail["From"] = Address("Losswatch", addr_spec=sender)
    mail["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["References"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()[:24]}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_text(message, links))
    mail.add_alternative(_html(message, links, pictured=picture is not None), subtype="html")
    if picture is not None:
        html = mail.get_body(("html",))
        assert isinstance(html, EmailMessage)
        html.add_related(picture, "image", "png", cid=f"<{PICTURE}>", disposition="inline", filename="chart.png")
    return mail


def addresses(url: str) -> list[str]:
    """The recipients of ``mailto:a@example.org,b@example.org``.

    Raises ValueError for anything else, for header fields behind a question mark, and for more than 20 recipients.
    """
    scheme, _, rest = url.partition(":")
    found = [unquote(part).strip() for part in rest.split(",") if part.strip()]
    if scheme != "mailto" or not found or "?" in rest or len(found) > MAX_RECIPIENTS:
        raise ValueError(f"write mailto: and one to {MAX_RECIPIENTS} addresses, separated by commas")
    for address in found:
        try:
            parsed = Address(addr_spec=address)
        except (MessageError, IndexError, ValueError):
            raise ValueError("one of the addresses is not an e-mail address") from None
        if not parsed.domain or not parsed.username or any(ord(c) <= 32 for c in address):
            raise ValueError("one of the addresses is not an e-mail address")
    return found


def _text(message: Message, links: Links) -> str:
    parts = [clip(message.text, 4_000)]
    if message.total > 1:
        parts.append("\n".join("- " + line for line in lines(message.entries, MAX_LINES)))
    if pieces := evidence(message, 10):
        parts.append("\n".join(f"{name}: {value}" for name, value in pieces))
    if advice := message.advice:
        parts.append(f"What to do: {clip(advice, 4_000)}")
    if (url := links.of(message)) is not None:
        parts.append(url)
    return "\n\n".join([*parts, footer(message)]) + "\n"


def _html(message: Message, links: Links, *, pictured: bool) -> str:
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in evidence(message, 10))
    items = "".join(f"<li>{escape(line)}</li>" for line in lines(message.entries, MAX_LINES))
    url, alt = links.of(message), clip(f"The loss of {message.lead.run}", 300)
    parts = [
        f'<h2 style="color:{colour(message)}">{escape(clip(one_line(message.title), 300))}</h2>',
        f"<p>{escape(clip(message.text, 4_000))}</p>",
        f"<ul>{items}</ul>" if message.total > 1 else "",
        f"<table>{rows}</table>" if rows else "",
        f"<p><b>What to do:</b> {escape(clip(advice, 4_000))}</p>" if (advice := message.advice) else "",
        f'<p><img src="cid:{PICTURE}" alt="{escape(alt)}" style="width:100%;max-width:800px"></p>' if pictured else "",
        f'<p><a href="{escape(url)}">Open in Losswatch</a></p>' if url else "",
        f'<p style="color:#667085">{escape(footer(message))}</p>',
    ]
    return "<!doctype html><html><body>" + "".join(parts) + "</body></html>"


async def send(message: Message, target: Target, deps: ChannelDeps) -> Outcome:
    """Hand the mail to the SMTP server, in a thread."""
    if deps.mail is None:
        return Outcome(result=Result.REJECTED, detail="no mail server is configured")
    mail = payload(message, deps.links, deps.mail.sender, addresses(target.url), await deps.draw(message))
    return await asyncio.to_thread(_hand_over, mail, deps.mail)


def _hand_over(mail: EmailMessage, server: MailServer) -> Outcome:
    trust = ssl.create_default_context()
    try:
        connect = (
            smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout_s, context=trust)
            if server.security == "tls"
            else smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
        )
        with connect as smtp:
            if server.security == "starttls":
                smtp.starttls(context=trust)
            if server.username:
                smtp.login(server.username, server.password or "")
            smtp.send_message(mail)
    except smtplib.SMTPResponseException as error:
        later = 400 <= error.smtp_code < 500
        return Outcome(
            result=Result.RETRY if later else Result.REJECTED,
            status=error.smtp_code,
            detail=f"the mail server answered {error.smtp_code}",
        )
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        later = any(400 <= code < 500 for code in codes)
        return Outcome(
            result=Result.RETRY if later else Result.REJECTED, status=codes[0], detail="the recipients were refused"
        )
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(result=Result.RETRY, detail=scrub(f"mail server: {type(error).__name__}: {error}"))
    return Outcome(result=Result.DELIVERED, status=250)


def _check(url: str) -> None:
    addresses(url)


CHANNEL = Channel(kind="email", send=send, check_address=_check, by_http=False)
