#!/usr/bin/env python3
"""Writes definitions for the validation bench: `generate.py N DIR`.

The same N gives the same bytes. Ten documents share a file; together they are one integration: a connector with
tested actions, workflows, triggers, a widget, a tenant with its connection, and an entity, role, alert or further
tenant. Everything is valid, every reference leads somewhere, and every test of an action passes.
"""

import json
import pathlib
import random
import re
import sys

API = "evenkeel.dev/v1alpha1"
FIRST = "orbit harbor lumen cedar quartz beacon willow summit copper meadow falcon ember".split()
SECOND = "crm help shop ledger stock mail forms books port cloud works hub".split()
CATEGORIES = ["crm", "commerce", "support", "logistics", "finance"]
AUTH = ["apiKey", "oauth2", "bearerToken", "basic", "custom"]

# Fields: name, type, canonical field, extra. The first is the key.
RESOURCES = {
    "contact": ("Contact", [
        ("id", "integer", "id", {"coerce": "String"}),
        ("email", "string", "email", {"transforms": [{"trim": {}}, {"lower": {}}]}),
        ("first_name", "string", "firstName", {}),
        ("last_name", "string", "lastName", {}),
        ("company", "string", "company", {"nullable": True}),
        ("phone", "string", "phone", {"nullable": True}),
        ("tags", "array", "tags", {"schema": {"type": "string"}}),
        ("updated_at", "date-time", None, {}),
    ]),
    "product": ("Product", [
        ("id", "integer", "id", {"coerce": "String"}),
        ("name", "string", "name", {"required": True}),
        ("sku", "string", "sku", {"transforms": [{"upper": {}}]}),
        ("description", "string", "description", {"nullable": True}),
        ("category", "string", "category", {}),
        ("state", "string", "status", {"enum": ["live", "hidden", "gone"],
                                       "valuesMap": {"live": "active", "hidden": "draft", "gone": "archived"}}),
        ("weight", "number", None, {"nullable": True}),
    ]),
    "stock-level": ("InventoryLevel", [
        ("id", "integer", None, {}),
        ("product_id", "integer", "productId", {"required": True, "coerce": "String"}),
        ("location_id", "integer", "locationId", {"coerce": "String"}),
        ("available", "integer", "available", {"required": True}),
        ("on_hand", "integer", "onHand", {"default": 0}),
        ("counted_at", "date-time", None, {"nullable": True}),
    ]),
    "shipment": ("Fulfillment", [
        ("id", "integer", "id", {"coerce": "String"}),
        ("order_id", "integer", "orderId", {"required": True, "coerce": "String"}),
        ("status", "string", "status", {"required": True, "enum": ["pending", "in_transit", "delivered"]}),
        ("tracking_number", "string", "trackingNumber", {"nullable": True}),
        ("carrier", "string", "carrier", {}),
        ("shipped_at", "date-time", "shippedAt", {"nullable": True}),
    ]),
    "ticket": (None, [
        ("id", "integer", None, {}),
        ("subject", "string", None, {"required": True}),
        ("state", "string", None, {"enum": ["open", "waiting", "solved"]}),
        ("priority", "integer", None, {}),
        ("labels", "array", None, {"schema": {"type": "string"}}),
        ("requester_email", "string", None, {}),
        ("updated_at", "date-time", None, {}),
    ]),
    "deal": (None, [
        ("id", "integer", None, {}),
        ("title", "string", None, {"required": True}),
        ("amount", "money", None, {}),
        ("stage", "string", None, {"enum": ["new", "offered", "won", "lost"]}),
        ("owner_email", "string", None, {"nullable": True}),
        ("closes_at", "date-time", None, {"nullable": True}),
    ]),
}

# --- YAML as authors write it: blocks, and short leaves on one line -------------------------------------------------

PLAIN = re.compile(r"[A-Za-z_/$](?:[A-Za-z0-9_./$-]| (?=[A-Za-z0-9]))*|[0-9]+(?:ms|s|m|h|d)")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def scalar(value):
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def flow(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def block(value, indent, out):
    pad = "  " * indent
    entries = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in entries:
        head = f"{pad}{scalar(key)}:" if key is not None else f"{pad}-"
        if isinstance(item, str) and "\n" in item:
            out.append(f"{head} |-")
            out.extend(f"{pad}  {line}".rstrip() for line in item.split("\n"))
        elif not isinstance(item, (dict, list)) or not item:
            out.append(f"{head} {flow(item)}")
        elif "\n" not in str(item).replace("\\n", "\n") and len(line := flow(item)) + len(head) < 110:
            out.append(f"{head} {line}")
        elif not isinstance(value, dict):
            inner = []
            block(item, indent + 1, inner)
            out.append(f"{pad}- {inner[0].lstrip()}")
            out.extend(inner[1:])
        else:
            out.append(head)
            block(item, indent + 1, out)


def document(kind, name, spec, **metadata):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def text(documents):
    out = []
    for at, one in enumerate(documents):
        if at:
            out.append("---")
        block(one, 0, out)
    return "\n".join(out) + "\n"


# --- One integration ------------------------------------------------------------------------------------------------


def sample(name, kind, extra, at):
    if "enum" in extra:
        return extra["enum"][at % len(extra["enum"])]
    if "email" in name:
        return f"ada{at}@example.com"
    return {
        "integer": 100 + at,
        "number": 1.5 + at,
        "array": [f"tag-{at}", "vip"],
        "date-time": f"2026-03-{1 + at % 28:02d}T10:00:00Z",
        "money": f"{10 + at}.50",
    }.get(kind, f"{name.replace('_', ' ').title()} {at}")


def record(fields, at):
    return {name: sample(name, kind, extra, at) for name, kind, _, extra in fields}


def input_schema(name, kind, extra):
    schema = {"array": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
              "date-time": {"type": "string", "format": "date-time"},
              "money": {"type": "string", "pattern": r"^\d+(\.\d{1,2})?$"}}.get(kind, {"type": kind})
    if "enum" in extra:
        schema = {"enum": extra["enum"]}
    elif "email" in name:
        schema = {"type": "string", "format": "email"}
    elif kind == "string":
        schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return schema


def leaf(name, required):
    value = f"input.{name}"
    if "email" in name:
        return f"{{{{ {value} | lower }}}}" if required else f"{{{{ {value} | default('') | lower }}}}"
    return f"{{{{ {value} }}}}" if required else f"{{{{ {value} | default(none) }}}}"


class Integration:
    def __init__(self, at):
        self.at = at
        self.random = random.Random(at)
        pick = self.random.choice
        self.name = f"{pick(FIRST)}-{pick(SECOND)}-{at:04d}"
        self.title = self.name.replace("-", " ").title()
        self.category = CATEGORIES[at % len(CATEGORIES)]
        self.auth = AUTH[at % len(AUTH)]
        self.resource = list(RESOURCES)[at % len(RESOURCES)]
        self.canonical, self.fields = RESOURCES[self.resource]
        self.plural = self.resource + "s"
        self.region = at % 3 == 0
        self.tenant = f"tenant-{at:04d}"
        self.secrets = {f"key-{at:04d}": {"env": f"KEY_{at:04d}"}, f"hook-{at:04d}": {"file": f"/run/secrets/hook-{at:04d}"}}
        self.variables = {f"client_id_{at:04d}": f"client-{at:04d}"} if self.auth == "oauth2" else {}
        self.base = f"https://{'eu.' if self.region else 'api.'}{self.name}.example/v2"

    def documents(self):
        extra = [self.entity, self.alert, self.another_tenant, self.alert, self.role][self.at % 5]
        return [self.connector(), self.sync(), self.code(), self.note(), self.webhook(), self.second_trigger(),
                self.widget(), document("Tenant", self.tenant, self.tenant_spec()), self.connection(), extra()]

    # The connector and its actions.

    def connector(self):
        host = "{{ get_variable('region') }}." if self.region else "api."
        entity = {name: {"type": kind, **({"required": True} if at == 0 else {}),
                         **({"canonical": canonical} if canonical else {}), **extra}
                  for at, (name, kind, canonical, extra) in enumerate(self.fields)}
        spec = {
            "displayName": self.title,
            "description": f"{self.plural.capitalize()} of {self.title}.",
            "images": [{"url": f"https://cdn.example/{self.name}.svg", "theme": "Default"}],
            "documentationUrl": f"https://docs.{self.name}.example/reference",
            "domain": f"{self.name}.example",
            "baseUrl": f"https://{host}{self.name}.example/v2",
            "auth": {"default": "main", "methods": {"main": self.method()}},
            "settings": {"type": "object", "additionalProperties": False, "required": ["account"],
                         "properties": {"account": {"type": "string", "minLength": 1}, "sandbox": {"type": "boolean"}}},
            "defaults": {"timeout": "15s", "retry": {"maxAttempts": 3, "initialInterval": "1s", "maxInterval": "10s"},
                         "headers": {"Accept": "application/json", "X-Account": "{{ connection.settings.account }}"}},
            "rateLimit": {"requests": 100, "per": "10s", "concurrency": 10},
            "actions": self.actions(),
            "entities": {self.resource.replace("-", "_"): {
                "title": self.resource.capitalize(), **({"canonical": self.canonical} if self.canonical else {}),
                "key": self.fields[0][0], "fields": entity}},
            "events": {f"{self.resource}-changed": self.event()},
            "localization": {"de": {"displayName": self.title, "description": f"{self.title}: alles an einem Ort."}},
        }
        return document("Connector", self.name, spec, labels={"category": self.category, "team": f"team-{self.at % 17}"})

    def method(self):
        return {
            "apiKey": {"displayName": "API key", "apiKey": {"in": "Header", "name": "X-API-Key"}},
            "oauth2": {"displayName": f"Sign in with {self.title}", "oauth2": {
                "authorizationUrl": f"https://login.{self.name}.example/authorize",
                "tokenUrl": f"https://login.{self.name}.example/token",
                "scopes": [f"{self.plural}.read", f"{self.plural}.write"],
                "clientId": f"{{{{ get_variable('client_id_{self.at:04d}') }}}}",
                "clientSecret": {"secretRef": f"key-{self.at:04d}"}}},
            "bearerToken": {"displayName": "Access token", "bearerToken": {}},
            "basic": {"displayName": "User name and password", "basic": {}},
            "custom": {"displayName": "Account and key", "custom": {
                "fields": {"account": {"label": "Account", "required": True},
                           "key": {"label": "Key", "type": "Password", "required": True}},
                "headers": {"X-Account-Key": "{{ credentials.account }}:{{ credentials.key }}"}}},
        }[self.auth]

    def actions(self):
        settings = {"account": "acme"}
        entity = self.resource.replace("-", "_")
        output = {"$ref": f"#/entities/{entity}"}
        writable = self.fields[1:]
        required = writable[0][0]
        schema = {"type": "object", "required": [required], "additionalProperties": False,
                  "properties": {name: input_schema(name, kind, extra) for name, kind, _, extra in writable}}
        body = {name: leaf(name, name == required) for name, *_ in writable}
        mapped = {name: f"{{{{ response.json.data.{name} }}}}" for name, *_ in self.fields}
        one, two = record(self.fields, self.at), record(self.fields, self.at + 1)
        given = {name: one[name] for name, *_ in writable}
        url = f"{self.base}/{self.plural}"
        query = [f"per_page={50 + self.at % 50}", "sort=updated"]
        actions = {
            f"create-{self.resource}": {
                "title": f"Create {self.resource}", "entity": entity, "operation": "Create",
                "input": schema, "output": output,
                "http": {"method": "POST", "path": f"/{self.plural}", "headers": {"X-Request-Id": "{{ request.id }}"},
                         "body": {**body, "source": "evenkeel"}, "omitEmpty": True},
                "response": {"success": [200, 201], "body": mapped},
                "tests": [
                    {"name": "creates", "settings": settings, "input": given,
                     "expectRequest": {"method": "POST", "url": url, "body": {**given, "source": "evenkeel"}},
                     "respond": {"status": 201, "body": {"data": one}}, "expectOutput": one},
                    {"name": "needs its first field", "settings": settings, "input": {}, "expectError": {"code": "INVALID_INPUT"}},
                    {"name": "is refused", "settings": settings, "input": given,
                     "respond": {"status": 422, "body": {"error": "no"}}, "expectError": {"code": "UPSTREAM_ERROR"}},
                ]},
            f"list-{self.plural}": {
                "title": f"List {self.plural}", "entity": entity, "operation": "List",
                "input": {"type": "object", "additionalProperties": False, "properties": {
                    "cursor": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 100},
                    "since": {"type": "string", "format": "date-time"}}},
                "output": {"type": "object", "required": ["items", "next"], "properties": {
                    "items": {"type": "array", "items": output}, "next": {"type": ["string", "null"]}}},
                "http": {"path": f"/{self.plural}", "query": {
                    "per_page": f"{{{{ input.limit | default({50 + self.at % 50}) }}}}", "sort": "updated",
                    "cursor": {"value": "{{ input.cursor | default('') }}", "omitEmpty": True},
                    "since": {"value": "{{ input.since | default('') }}", "omitEmpty": True}}},
                "response": self.listed(),
                "pagination": {"records": "{{ output.items }}", "cursor": {"input": "cursor", "next": "{{ output.next }}"},
                               "maxPages": 100},
                "tests": [
                    {"name": "the first page", "settings": settings,
                     "expectRequest": {"method": "GET", "url": f"{url}?{'&'.join(query)}"},
                     "respond": {"body": {"data": [one, two], "meta": {"next": "c2"}}},
                     "expectOutput": {"items": [one, two], "next": "c2"}},
                    {"name": "the last page", "settings": settings, "input": {"cursor": "c2", "limit": 10},
                     "expectRequest": {"query": {"per_page": "10", "sort": "updated", "cursor": "c2"}},
                     "respond": {"body": {"data": [two], "meta": {}}}, "expectOutput": {"items": [two], "next": None}},
                ]},
            f"get-{self.resource}": {
                "title": f"Get {self.resource}", "entity": entity, "operation": "Read", "output": output,
                "http": {"path": f"/{self.plural}/{{{{ pathParams.id }}}}",
                         "pathParams": {"id": {"description": f"Number of the {self.resource}."}}},
                "response": {"body": mapped},
                "tests": [
                    {"name": "is there", "settings": settings, "pathParams": {"id": str(one["id"])},
                     "expectRequest": {"url": f"{url}/{one['id']}"}, "respond": {"body": {"data": one}}, "expectOutput": one},
                    {"name": "is not there", "settings": settings, "pathParams": {"id": "1"},
                     "respond": {"status": 404, "body": {"error": "none"}}, "expectError": {"code": "UPSTREAM_ERROR"}},
                ]},
            f"update-{self.resource}": {
                "title": f"Update {self.resource}", "entity": entity, "operation": "Update",
                "input": {**schema, "required": [required]}, "output": output,
                "http": {"method": "PATCH", "path": f"/{self.plural}/{{{{ pathParams.id }}}}", "pathParams": {"id": {}},
                         "body": body, "omitEmpty": True},
                "response": {"body": mapped},
                "tests": [{"name": "updates", "settings": settings, "pathParams": {"id": "7"}, "input": given,
                           "expectRequest": {"method": "PATCH", "url": f"{url}/7", "body": given},
                           "respond": {"body": {"data": one}}, "expectOutput": one}]},
            f"delete-{self.resource}": {
                "title": f"Delete {self.resource}", "entity": entity, "operation": "Delete",
                "output": {"type": "object", "required": ["deleted"], "properties": {"deleted": {"type": "boolean"}}},
                "http": {"method": "DELETE", "path": f"/{self.plural}/{{{{ pathParams.id }}}}", "pathParams": {"id": {}}},
                "response": {"success": [204, 404], "body": {"deleted": "{{ response.status_code == 204 }}"}},
                "tests": [{"name": "deletes", "settings": settings, "pathParams": {"id": "7"}, "respond": {"status": 204},
                           "expectOutput": {"deleted": True}}]},
        }
        return dict(list(actions.items())[:3 + self.at % 3])

    def listed(self):
        if self.at % 2:
            return {"body": {"items": "{{ response.json.data }}", "next": "{{ response.json.meta.next | default(none) }}"}}
        members = "\n".join(f"      '{name}': record.{name}," for name, *_ in self.fields).rstrip(",")
        return {"contentType": "application/json", "text": (
            '{"items": [\n{%- for record in response.json.data -%}\n  {{- \'\' if loop.first else \',\' -}}\n  {{- {\n'
            + members + "\n    } | tojson -}}\n{%- endfor -%}\n],\n"
            + ' "next": {{ response.json.meta.next | default(none) | tojson }}}')}

    def event(self):
        entity = self.resource.replace("-", "_")
        if self.at % 2:
            return {"entity": entity, "poll": {"action": f"list-{self.plural}", "interval": "5m",
                                               "records": "{{ output.items }}", "id": "{{ record.id }}"}}
        return {"entity": entity, "changes": ["Created", "Updated"], "webhook": {
            "verify": {"hmacSha256": {"header": "X-Signature", "secretRef": f"hook-{self.at:04d}", "prefix": "sha256="}},
            "when": "{{ headers['x-event'] is defined }}",
            "change": "{{ 'Created' if body.event == 'created' else 'Updated' }}",
            "data": {"id": "{{ body.data.id }}", "kind": "{{ body.event | upper }}"},
            "deduplicate": "{{ headers['x-delivery'] }}"}}

    # Workflows and triggers.

    def sync(self):
        create, listing = f"{self.name}/create-{self.resource}", f"{self.name}/list-{self.plural}"
        first = self.fields[1][0]
        one = record(self.fields, self.at)
        spec = {
            "displayName": f"Sync {self.plural}",
            "description": f"Takes {self.plural} that changed and keeps {self.title} up to date.",
            "tier": "Standard", "timeout": "5m", "retry": {"maxAttempts": 3, "initialInterval": "5s", "maxInterval": "60s"},
            "priority": "P2", "concurrency": {"limit": 4, "perTenant": True},
            "input": {"type": "object", "required": ["since"], "properties": {
                "since": {"type": "string", "format": "date-time"}, "limit": {"type": "integer", "minimum": 1},
                "items": {"type": "array", "items": {"type": "object"}}}},
            "steps": [
                {"name": "found", "action": listing, "input": {
                    "since": "{{ input.since }}", "limit": "{{ input.limit | default(100) }}"}},
                {"name": "any", "gate": "{{ steps.found.output['items'] | length > 0 }}"},
                {"name": "each", "loop": {"over": "{{ input['items'] | default([]) }}", "maxItems": 500, "concurrency": 4, "steps": [
                    {"name": "made", "action": create, "onError": "Continue",
                     "input": {first: f"{{{{ item.{first} }}}}"}},
                    {"name": "kept", "if": "{{ steps.made.output is defined }}",
                     "set": {"id": "{{ steps.made.output.id }}", "at": "{{ index }}"}}]}},
                {"name": "choose", "switch": [
                    {"when": "{{ steps.found.output['items'] | length > 50 }}",
                     "steps": [{"name": "much", "set": {"size": "large"}}]},
                    {"steps": [{"name": "little", "set": {"size": "small"}}]}]},
                {"name": "result", "set": {
                    "count": "{{ steps.found.output['items'] | length }}",
                    "ids": "{{ steps.found.output['items'] | map(attribute='id') | list }}",
                    "text": f"{{{{ steps.found.output['items'] | length }}}} {self.plural} since {{{{ input.since[:10] }}}}"}}],
            "tests": [{"name": "one page", "input": {"since": "2026-03-01T00:00:00Z"},
                       "actions": {listing: [{"items": [one], "next": None}]},
                       "expectOutput": {"count": 1, "ids": [one["id"]], "text": f"1 {self.plural} since 2026-03-01"}}],
        }
        return document("Workflow", f"sync-{self.name}", spec, labels={"category": self.category})

    def code(self):
        source = (
            "export default async function (ctx) {\n"
            f"  const page = await ctx.connectors.app['list-{self.plural}']({{ limit: ctx.config.size }});\n"
            "  const seen = new Set(await ctx.state.get('seen') ?? []);\n"
            "  const fresh = page.items.filter((item) => !seen.has(item.id));\n"
            "  for (const item of fresh) {\n"
            "    ctx.log.info('new', { id: item.id });\n"
            "  }\n"
            "  await ctx.state.set('seen', [...seen, ...fresh.map((item) => item.id)]);\n"
            "  return { fresh: fresh.length };\n"
            "}")
        spec = {"displayName": f"New {self.plural}", "tier": "Long", "timeout": "30m",
                "connectors": {"app": {"connector": self.name, "actions": [f"list-{self.plural}", f"get-{self.resource}"]}},
                "secrets": [f"key-{self.at:04d}"], "config": {"size": 50 + self.at % 50, "dryRun": False},
                "source": {"inline": source}, "onFailure": f"note-{self.name}"}
        return document("Workflow", f"new-{self.name}", spec, labels={"category": self.category})

    def note(self):
        spec = {"tier": "Instant", "timeout": "30s",
                "input": {"type": "object", "properties": {"what": {"type": "string"}}},
                "output": {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}},
                "steps": [{"name": "note", "set": {"message": f"{self.title} is {{{{ input.what | default('unwell') }}}}."}}],
                "tests": [{"name": "says what happened", "input": {"what": "connected"},
                           "expectOutput": {"message": f"{self.title} is connected."}}]}
        return document("Workflow", f"note-{self.name}", spec)

    def webhook(self):
        verify = [{"hmacSha256": {"header": "X-Signature", "secretRef": f"hook-{self.at:04d}", "tolerance": "5m"}},
                  {"apiKey": {"header": "X-Hook-Key", "secretRef": f"hook-{self.at:04d}"}},
                  {"preset": {"service": "GitHub", "secretRef": f"hook-{self.at:04d}"}}][self.at % 3]
        spec = {"webhook": {
            "verify": verify, "deduplicate": "{{ headers['x-delivery-id'] }}", "deduplicationWindow": "24h",
            "deadLetters": {"enabled": True, "unmatched": "Keep", "retention": "30d"},
            "routes": [
                {"workflow": f"sync-{self.name}",
                 "when": {"event_type": {"in": [f"{self.resource}.created", f"{self.resource}.updated"]},
                          "data.total": {"gte": self.at % 100}, "data.test": {"neq": True}},
                 "headers": {"x-source": self.name}, "tenant": self.tenant,
                 "input": {"since": "{{ body.sent_at }}", "items": "{{ [body.data] }}"}},
                {"workflow": f"note-{self.name}", "when": {"event_type": "app.removed"}, "priority": "P1",
                 "input": {"what": "{{ body.event_type | replace('.', ' ') }}"}}]}}
        return document("Trigger", f"hook-{self.name}", spec)

    def second_trigger(self):
        routes = [{"workflow": f"new-{self.name}", "tenants": [self.tenant]}]
        when = [{"cron": f"{self.at % 60} */2 * * 1-5"}, {"daily": {"at": f"{self.at % 24:02d}:30"}},
                {"weekly": {"days": ["Monday", "Thursday"], "at": "06:15"}}, {"interval": "30m"}]
        if self.at % 5 == 4:
            spec = {"appEvent": {"connector": self.name, "event": f"{self.resource}-changed",
                                 "routes": [{"workflow": f"note-{self.name}", "input": {"what": "changed"}}]}}
        else:
            spec = {"schedule": {**when[self.at % 4], "timeZone": "Europe/Berlin", "jitter": "30s", "overlap": "Queue",
                                 "payload": {"full": False}, "routes": routes}}
        return document("Trigger", f"when-{self.name}", spec)

    # Widgets.

    def widget(self):
        note = f"note-{self.name}"
        spec = {
            "displayName": self.title, "description": f"Keeps your {self.plural} in {self.title}.",
            "connectors": [{"connector": self.name, "primary": True}],
            "settings": {"tenants": {"only": [self.tenant]}, "historyLogs": True},
            "actions": [
                {"name": "Connect", "workflow": note, "visibility": "PreAuth", "type": "Activation",
                 "payload": {"what": "connected"}},
                {"name": "Configure", "form": "settings", "visibility": "PostAuth", "type": "Configuration"},
                {"name": "Sync now", "workflow": f"sync-{self.name}", "visibility": "PostAuthConfigured",
                 "payload": {"since": "2026-01-01T00:00:00Z"},
                 "messages": {"success": {"header": "Done", "message": "Everything is up to date."},
                              "error": {"message": "Please try again later."}}},
                {"name": "Disconnect", "workflow": note, "visibility": "PostAuth", "type": "Deactivation",
                 "payload": {"what": "disconnected"}}],
            "forms": {"settings": {"title": f"How shall {self.title} work?", "onSave": note, "fields": [
                {"name": "label", "label": "Label", "type": "Text", "required": True, "default": "evenkeel",
                 "validation": {"minLength": 1, "maxLength": 40, "pattern": "^[a-z][a-z0-9-]*$"}},
                {"name": "direction", "label": "Direction", "type": "Select", "default": "both", "options": [
                    {"value": "in", "label": "From the app"}, {"value": "out", "label": "To the app"},
                    {"value": "both", "label": "Both ways"}]},
                {"name": "template", "label": f"Template {self.resource}", "type": "Select",
                 "options": {"action": f"{self.name}/list-{self.plural}", "input": {"limit": 50},
                             "items": "items", "value": "id", "label": self.fields[1][0]},
                 "visibleWhen": {"direction": {"neq": "in"}}},
                {"name": "limit", "label": "Most records", "type": "Number", "default": 100,
                 "validation": {"minimum": 1, "maximum": 1000}},
                {"name": "letters", "label": "Send letters", "type": "Checkbox", "default": False}]}},
            "metrics": [{"name": "runs", "label": "Runs", "measure": "Executions", "workflow": f"sync-{self.name}", "window": "30d"},
                        {"name": "rate", "label": "Successful", "measure": "SuccessRate"}],
            "localization": {"de": {"displayName": self.title, "actions": {"Connect": "Verbinden", "Disconnect": "Trennen"},
                                    "metrics": {"runs": "Läufe"}}},
        }
        return document("Widget", self.name, spec, labels={"category": self.category})

    def tenant_spec(self):
        return {"displayName": f"Customer {self.at} Ltd", "externalId": f"c-{self.at:06d}", "region": ["EU", "US", "APAC"][self.at % 3],
                "plan": ["basic", "team", "business"][self.at % 3], "admin": f"admin@customer{self.at}.example",
                "quotas": {"connections": 20, "concurrentExecutions": 8, "callsPerMinute": 600},
                "variables": {"greeting": f"Welcome to customer {self.at}"}}

    def connection(self):
        key = {"secretRef": f"key-{self.at:04d}"}
        credentials = {"apiKey": {"apiKey": key}, "oauth2": {"accessToken": key}, "bearerToken": {"token": key},
                       "basic": {"username": f"robot-{self.at}", "password": key},
                       "custom": {"account": f"acct-{self.at}", "key": key}}[self.auth]
        spec = {"displayName": f"{self.title} of customer {self.at}", "connector": self.name, "method": "main",
                "scope": "Tenant", "tenant": self.tenant, "credentials": credentials,
                "settings": {"account": f"customer-{self.at}", "sandbox": self.at % 2 == 0}}
        return document("Connection", f"{self.name}-{self.tenant}", spec)

    def entity(self):
        if self.at % 2:
            return document("Entity", f"entity-{self.at:04d}", {
                "displayName": f"Visit {self.at}", "canonicalName": f"Visit{self.at:04d}", "fields": {
                    "id": {"type": "string", "required": True}, "startedAt": {"type": "date-time"},
                    "contact": {"type": "object", "entity": "Contact"}, "result": {"type": "string", "enum": ["good", "bad"]}}})
        return document("Entity", f"entity-{self.at:04d}", {
            "description": "Fields that only we need.", "extends": "Contact", "fields": {
                f"score{self.at:04d}": {"type": "number"}, f"side{self.at:04d}": {"type": "string", "enum": ["left", "right"]}}})

    def role(self):
        return document("Role", f"role-{self.at:04d}", {
            "displayName": f"Keepers of {self.title}", "extends": "viewer", "environments": ["live"],
            "permissions": {"connectors": ["Read", "Update"], "workflows": ["Read", "Execute"], "connections": ["Create", "Read"]}})

    def alert(self):
        return document("Alert", f"alert-{self.at:04d}", {
            "condition": ["ErrorRate", "LatencyP99", "FailureCount"][self.at % 3], "threshold": 5 + self.at % 20, "window": "10m",
            "workflows": [f"sync-{self.name}", f"new-{self.name}"],
            "notify": [{"email": f"ops-{self.at % 17}@evenkeel.example"}, {"workflow": f"note-{self.name}"}]})

    def another_tenant(self):
        return document("Tenant", f"branch-{self.at:04d}", {**self.tenant_spec(), "externalId": f"b-{self.at:06d}"})


def main():
    count, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    integrations = [Integration(at) for at in range((count - 1) // 10)]
    variables = {"region": "eu"}
    secrets = {}
    written = 0
    size = 0

    def write(path, documents):
        nonlocal written, size
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text(documents).encode()
        path.write_bytes(data)
        written += len(documents)
        size += len(data)

    for one in integrations:
        variables |= one.variables
        secrets |= one.secrets
        write(folder / one.category / one.name.split("-")[0] / f"{one.name}.yaml", one.documents())
    environment = document("Environment", "live", {
        "displayName": "Live", "interval": "1m", "sync": {"mode": "Heal", "apply": "Atomic", "prune": {"enabled": True, "budget": "10%"}},
        "variables": variables, "secrets": secrets, "quotas": {"connections": 50, "executionsPerDay": 100000}})
    spare = [document("Tenant", f"spare-{at}", {"displayName": f"Spare {at}"}) for at in range(count - written - 1)]
    write(folder / "environment.yaml", [environment, *spare])
    print(json.dumps({"definitions": written, "files": len(integrations) + 1, "bytes": size}))


if __name__ == "__main__":
    main()
