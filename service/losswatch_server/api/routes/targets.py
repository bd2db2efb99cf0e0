"""Notification targets: add, read, change, remove, test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from losswatch_server.alerts.egress.addresses import TargetRefusedError
from losswatch_server.alerts.egress.retry import Result
from losswatch_server.alerts.registry import (
    NoSuchDeliveryError,
    NoSuchMuteRuleError,
    NoSuchTargetError,
    Registry,
    TargetFromFileError,
    TooManyError,
)
from losswatch_server.alerts.targets import Target
from losswatch_server.api.description import alert_schemas as schemas
from losswatch_server.api.description.describe import Project, answer, body, refusals, schema_of
from losswatch_server.api.http.access import json_answer, read_model
from losswatch_server.api.http.paging import LINK, MOST, Cursor, Limit, link, page_of
from losswatch_server.api.http.problems import (
    DELIVERY_NOT_FOUND,
    INVALID_BODY,
    MALFORMED_BODY,
    SILENCE_NOT_FOUND,
    TARGET_FROM_FILE,
    TARGET_NOT_FOUND,
    TOO_LARGE,
    TOO_MANY,
    TOO_MANY_TESTS,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemError,
    refused_body,
)
from losswatch_server.codec import BodyRefusedError, Problem, timestamp
from losswatch_server.monitor.vocabulary import Severity

router = APIRouter(tags=["targets"])

BODY_REFUSALS = (MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_BODY)
TargetId = Annotated[
    str, Path(alias="id", description="The target's id.", max_length=64, examples=["tgt_5f0c2a9b7e4d5061"])
]


def registry_of(request: Request) -> Registry:
    """The targets of this service."""
    return cast("Registry", request.app.state.alerts.registry)


Targets = Annotated[Registry, Depends(registry_of)]


@router.post(
    "/v1/targets",
    operation_id="create_target",
    summary="Add a notification target",
    description="The answer shows the signing secret of a webhook, once and never again.",
    status_code=201,
    responses={
        **answer(201, schemas.NewlyMadeTarget, "Added.", {**schemas.TARGET, "secret": None, "warnings": []}),
        **refusals(*BODY_REFUSALS, TOO_MANY),
    },
    openapi_extra=body(
        schema_of(schemas.NewTarget),
        ("slack", {"kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/wXyz", "min_severity": "warning"}),
        ("webhook", {"kind": "webhook", "url": "https://example.org/losswatch", "conditions": ["diverging"]}),
        ("email", {"kind": "email", "url": "mailto:team@example.org"}),
    ),
)
async def create_target(request: Request, targets: Targets, project: Project = "default") -> Response:
    asked = await read_model(request, schemas.NewTarget)
    try:
        target = await targets.create(
            project,
            asked.kind,
            asked.url,
            rules_given(asked),
            name=asked.name or "",
            routing_key=asked.routing_key,
            secret=asked.secret,
        )
    except TargetRefusedError as error:
        raise refused(error) from error
    location = f"/v1/targets/{target.id}" + ("" if project == "default" else f"?project={project}")
    secret = target.secrets[0].value if target.secrets else None
    made = {**target_json(target), "secret": secret, "warnings": targets.warnings}
    return json_answer(made, 201, {"Location": location})


@router.get(
    "/v1/targets",
    operation_id="list_targets",
    summary="List the notification targets",
    responses={
        200: {
            **answer(200, schemas.Targets, "The targets.", {"targets": [schemas.TARGET], "next_cursor": None})[200],
            "headers": LINK,
        },
        **refusals(),
    },
)
async def list_targets(
    targets: Targets, project: Project = "default", cursor: Cursor = None, limit: Limit = MOST
) -> Response:
    page, following = page_of(
        await targets.targets(project), lambda target: (target.created_at, target.id), cursor, limit
    )
    headers = link("/v1/targets", following, limit, project=project)
    return json_answer({"targets": [target_json(target) for target in page], "next_cursor": following}, headers=headers)


@router.get(
    "/v1/targets/{id}",
    operation_id="get_target",
    summary="Read a notification target",
    responses={**answer(200, schemas.Target, "The target.", schemas.TARGET), **refusals(TARGET_NOT_FOUND)},
)
async def get_target(target: TargetId, targets: Targets, project: Project = "default") -> Response:
    return json_answer(target_json(await targets.target(project, target)))


@router.patch(
    "/v1/targets/{id}",
    operation_id="amend_target",
    summary="Change a notification target",
    description="Fields that are left out stay as they are. `enabled` switches the target on and off.",
    responses={
        **answer(200, schemas.Target, "Changed.", schemas.TARGET),
        **refusals(TARGET_NOT_FOUND, TARGET_FROM_FILE, *BODY_REFUSALS),
    },
    openapi_extra=body(schema_of(schemas.TargetChange), ("critical only", {"min_severity": "critical"})),
)
async def amend_target(request: Request, target: TargetId, targets: Targets, project: Project = "default") -> Response:
    asked = await read_model(request, schemas.TargetChange)
    try:
        changed = await targets.amend(
            project,
            target,
            rules_given(asked),
            name=asked.name,
            url=asked.url,
            routing_key=asked.routing_key,
            enabled=asked.enabled,
        )
    except TargetRefusedError as error:
        raise refused(error) from error
    return json_answer(target_json(changed))


@router.delete(
    "/v1/targets/{id}",
    operation_id="delete_target",
    summary="Remove a notification target",
    description="Together with its delivery log. Messages that wait for it are not sent.",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Removed."}, **refusals(TARGET_NOT_FOUND, TARGET_FROM_FILE)},
)
async def delete_target(target: TargetId, targets: Targets, project: Project = "default") -> Response:
    await targets.remove(project, target)
    return Response(status_code=204)


@router.post(
    "/v1/targets/{id}/rotate",
    operation_id="rotate_target_secret",
    summary="Rotate a signing secret",
    description="Shows the new secret, once and never again. For a day, messages are signed with the old one too.",
    responses={
        **answer(200, schemas.TargetWithSecret, "Rotated.", {**schemas.TARGET, "kind": "webhook", "secret": "whsec_…"}),
        **refusals(TARGET_NOT_FOUND, TARGET_FROM_FILE, INVALID_BODY),
    },
)
async def rotate_target_secret(target: TargetId, targets: Targets, project: Project = "default") -> Response:
    try:
        rotated, secret = await targets.rotate(project, target)
    except TargetRefusedError as error:
        raise refused(error) from error
    return json_answer({**target_json(rotated), "secret": secret})


@router.post(
    "/v1/targets/{id}/test",
    operation_id="test_target",
    summary="Send a test message",
    description="Sends a sample message now and returns the result. At most ten a minute.",
    responses={
        **answer(
            200,
            schemas.TestResult,
            "The result.",
            {"delivered": True, "status": 200, "detail": "", "duration_ms": 160.2, "delivery": schemas.DELIVERY["id"]},
        ),
        **refusals(TARGET_NOT_FOUND, TOO_MANY_TESTS),
    },
)
async def try_target(target: TargetId, targets: Targets, project: Project = "default") -> Response:
    tried = await targets.test(project, target)
    outcome = tried.outcome
    return json_answer(
        {
            "delivered": outcome.result is Result.DELIVERED,
            "status": outcome.status,
            "detail": outcome.detail,
            "duration_ms": round(tried.duration_s * 1000, 1),
            "delivery": tried.delivery,
        }
    )


def rules_given(asked: BaseModel) -> dict[str, Any]:
    """The fields of ``policy.Rules`` that a request gives, as the domain has them."""
    names = asked.model_fields_set & set(schemas.TargetRules.model_fields)
    given = {name: value for name, value in asked if name in names and value is not None}
    given.pop("name", None)
    if "min_severity" in given:
        given["min_severity"] = Severity(given["min_severity"])
    for name in ("conditions", "group_by"):
        if name in given:
            given[name] = frozenset(given[name])
    return given


def target_json(target: Target) -> dict[str, Any]:
    """A target without its secrets."""
    rules = target.rules
    return {
        "id": target.id,
        "kind": target.kind,
        "name": target.name,
        "project": target.project,
        "url": target.address,
        "state": target.state.value,
        "failing_since": timestamp(target.failing_since),
        "disabled_reason": target.disabled_reason,
        "source": target.source,
        "min_severity": rules.min_severity.value,
        "conditions": sorted(rules.conditions),
        "tags": dict(rules.tags),
        "group_by": sorted(rules.group_by),
        "group_wait_s": rules.group_wait_s,
        "group_interval_s": rules.group_interval_s,
        "repeat_interval_s": rules.repeat_interval_s,
        "send_resolved": rules.send_resolved,
        "max_per_hour": rules.max_per_hour,
        "created_at": timestamp(target.created_at),
        "updated_at": timestamp(target.updated_at),
    }


def refused(error: ValueError) -> ProblemError:
    """A target that cannot be used; what to change stands in the error."""
    detail = str(error)
    place = next((f"/{name}" for name in ("routing_key", "secret", "kind") if f"`{name}`" in detail), "/url")
    return refused_body(BodyRefusedError([Problem(place, detail)], 1))


def _too_many(error: Exception) -> ProblemError:
    assert isinstance(error, TooManyError)
    if error.retry_after_s is None:
        return ProblemError(TOO_MANY, f"{error}.")
    return ProblemError(TOO_MANY_TESTS, f"{error}.")


PROBLEMS: Mapping[type[Exception], Callable[[Exception], ProblemError]] = {
    NoSuchTargetError: lambda _: ProblemError(TARGET_NOT_FOUND, "The project has no target of this id."),
    NoSuchDeliveryError: lambda _: ProblemError(DELIVERY_NOT_FOUND, "The target has no delivery of this id."),
    NoSuchMuteRuleError: lambda _: ProblemError(SILENCE_NOT_FOUND, "The project has no silence of this id."),
    TargetFromFileError: lambda _: ProblemError(
        TARGET_FROM_FILE, "This target is described in the operator's targets file; change it there and restart."
    ),
    TooManyError: _too_many,
}
"""From the errors of the use cases to problem details."""
