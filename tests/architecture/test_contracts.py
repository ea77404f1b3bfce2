"""Stubs and implementations are the two halves of one contract; histories hold their names."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast, get_type_hints

from temporalio import activity, workflow

from activities.registry import (
    in_house_activities,
    provider_activities,
    reconciliation_activities,
    report_activities,
)
from activities.toolbox import Toolbox
from recompense.contracts import activities as stubs
from recompense.contracts import reconciliation_activities as reconciliation_stubs
from recompense.contracts.starting import WORKFLOW_TYPES
from tests.architecture.source import Module, broken_by, findings, modules, report
from workflows.registry import WORKFLOWS
from workflows.saga import Saga

Function = Callable[..., Any]

DECORATORS = {
    "workflow.defn",
    "activity.defn",
    "workflow.update",
    "workflow.query",
    "workflow.signal",
}


def _activity_name(function: Function) -> str:
    name = activity._Definition.must_from_callable(function).name
    assert name is not None, f"{function} has no name of its own"
    return name


def _signature(function: Function) -> tuple[list[Any], Any]:
    hints = get_type_hints(function, include_extras=True)
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    return [hints[name] for name in parameters], hints["return"]


def _stubs() -> list[Function]:
    return [
        function
        for function in (*vars(stubs).values(), *vars(reconciliation_stubs).values())
        if callable(function) and activity._Definition.from_callable(function) is not None
    ]


def _implementations() -> list[Function]:
    # Registering calls nothing: no tool is needed to see what would be registered.
    tools = cast(Toolbox, None)
    return [
        *in_house_activities(tools),
        *provider_activities(tools),
        *reconciliation_activities(tools),
        *report_activities(tools),
    ]


def _twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_every_stub_has_one_implementation_and_every_implementation_a_stub() -> None:
    called = {_activity_name(stub) for stub in _stubs()}
    registered = [_activity_name(implementation) for implementation in _implementations()]
    rule = (
        "A workflow calls a stub of recompense/contracts/activities.py; a worker registers its"
        " implementation under the same name in activities/registry.py. Write the missing half:"
    )
    report([f"{name}: stub without implementation" for name in called - set(registered)], rule)
    report([f"{name}: implementation without stub" for name in set(registered) - called], rule)


def test_stub_and_implementation_take_and_return_the_same_types() -> None:
    signatures = {_activity_name(stub): _signature(stub) for stub in _stubs()}
    different = [
        f"{name}: the stub says {signatures[name]}, the implementation {_signature(function)}"
        for function in _implementations()
        if (name := _activity_name(function)) in signatures
        and _signature(function) != signatures[name]
    ]
    report(
        different,
        "mypy checks a workflow against the stub and nothing against the implementation, so both"
        " must say the same types, or payloads fail to decode at run time. Make them equal:",
    )


def test_no_two_types_share_a_name() -> None:
    workflows = [workflow._Definition.must_from_class(defined).name or "" for defined in WORKFLOWS]
    report(
        [
            *_twice([_activity_name(stub) for stub in _stubs()]),
            *_twice([_activity_name(function) for function in _implementations()]),
            *_twice(workflows),
        ],
        "A type name stands for one thing in every history ever recorded. Rename the newer one:",
    )


def test_every_workflow_class_is_registered() -> None:
    defined = {
        node.name
        for module in modules("workflows")
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
        and any(_called(decorator) == "workflow.defn" for decorator in node.decorator_list)
    }
    report(
        sorted(defined ^ {workflow_class.__name__ for workflow_class in WORKFLOWS}),
        "A workflow that no worker registers is started and never runs: list it in"
        " workflows/registry.py:",
    )


def test_every_saga_can_be_asked_for_its_decision_its_status_and_be_resolved() -> None:
    lacking = [
        f"{saga.__name__} has no {kind} {name!r}"
        for saga in _sagas()
        for kind, name, handlers in _handlers(saga)
        if name not in handlers
    ]
    report(
        lacking,
        "The API waits by the update 'decision', people answer by the update 'resolve', everybody"
        " looks by the query 'status'. Inherit from workflows.saga.Saga and add the update:",
    )


def _sagas() -> list[type]:
    return [defined for defined in WORKFLOWS if issubclass(defined, Saga)]


def _handlers(saga: type) -> Iterator[tuple[str, str, Any]]:
    definition = workflow._Definition.must_from_class(saga)
    yield "update", "decision", definition.updates
    yield "update", "resolve", definition.updates
    yield "query", "status", definition.queries
    yield "method", "run", vars(saga)


def test_every_lifecycle_that_can_be_started_names_a_registered_saga() -> None:
    sagas = {workflow._Definition.must_from_class(saga).name for saga in _sagas()}
    report(
        sorted({*WORKFLOW_TYPES.values()} ^ {name for name in sagas if name}),
        "recompense/contracts/starting.py starts sagas by name, without importing them. Make its"
        " WORKFLOW_TYPES list exactly the sagas of workflows/registry.py:",
    )


def names_are_explicit(module: Module) -> Iterator[str]:
    """Each definition and handler of Temporal's says its name as a string."""
    for node in module.nodes:
        for decorator in getattr(node, "decorator_list", ()):
            if _called(decorator) in DECORATORS and not _has_literal_name(decorator):
                yield module.at(decorator, f"{_called(decorator)} without name='...'")


def _called(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _has_literal_name(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
        for keyword in decorator.keywords
    )


def test_type_names_are_explicit_strings() -> None:
    report(
        findings(names_are_explicit, "workflows", "activities", "recompense"),
        "A name taken from the Python name changes with a rename, and old histories no longer"
        " replay. Say it: @activity.defn(name='capture.admit'):",
    )


def test_name_taken_from_the_function_is_found() -> None:
    assert broken_by(names_are_explicit, "@activity.defn\ndef admit() -> None: ...")
    assert broken_by(names_are_explicit, "@workflow.defn()\nclass Payment: ...")
    assert not broken_by(names_are_explicit, "@workflow.defn(name='Payment')\nclass Payment: ...")
