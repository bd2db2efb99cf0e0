"""One file per kind of receiver; this tuple is the list of them.

To add one: write its file (a pure payload apart from its sending), name it here, and give it golden messages and the
receiver's documented limits in ``tests/alerts``.
"""

from __future__ import annotations

from losswatch_server.alerts.channels import (
    alertmanager,
    apprise,
    discord,
    email,
    pagerduty,
    slack,
    teams,
    webhook,
)
from losswatch_server.alerts.channels.channel import Channel

CHANNELS: tuple[Channel, ...] = (
    webhook.CHANNEL,
    slack.CHANNEL,
    discord.CHANNEL,
    teams.CHANNEL,
    pagerduty.CHANNEL,
    alertmanager.CHANNEL,
    email.CHANNEL,
    apprise.CHANNEL,
)

BY_KIND = {channel.kind: channel for channel in CHANNELS}

__all__ = ["BY_KIND", "CHANNELS", "Channel"]
