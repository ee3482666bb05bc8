"""`/v1/webhooks`: the receivers of webhooks, and how it goes. They are set in the settings."""

from typing import Final

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from router.admin.schemas import Body
from router.admin.state import State
from router.events.webhook import Webhook

router = APIRouter(prefix="/v1/webhooks", tags=["events"])


EXAMPLE: Final[JsonDict] = {
    "receiver": "https://app.example.org",
    "queued": 0,
    "delivered": 412,
    "failed_attempts": 1,
    "dead": 0,
    "lost": 0,
    "last_failure": None,
}


class WebhookBody(Body):
    """One receiver."""

    receiver: str = Field(description="Scheme and host of its URL; the rest may be a secret.")
    queued: int = Field(description="Events that wait or are under way.")
    delivered: int
    failed_attempts: int
    dead: int = Field(description="Events that were given up.")
    lost: int = Field(description="Events for which the queue was full.")
    last_failure: str | None = Field(description="Why the latest attempt failed; null when it did not.")

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookBody":
        """What is known of it now."""
        counts = webhook.counts
        return cls(
            receiver=webhook.name,
            queued=len(webhook),
            delivered=counts.delivered,
            failed_attempts=counts.failed_attempts,
            dead=counts.dead,
            lost=counts.lost,
            last_failure=counts.last_failure,
        )


class WebhookList(Body):
    """All receivers, in the order of the settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE]}]})

    items: list[WebhookBody]


@router.get("", summary="Receivers of webhooks")
async def list_webhooks(state: State) -> WebhookList:
    """Their queues and counts since the start."""
    return WebhookList(items=[WebhookBody.of(webhook) for webhook in state.webhooks])
