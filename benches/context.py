#!/usr/bin/env python3
"""Writes the context of the templates of `templates/` as JSON: `context.py FILE`. The output is deterministic."""

import json
import random
import sys

GROUPS = ["Network", "Service Team", "Database", "Field Support", "Identity"]
WORDS = "the printer on floor cannot reach server after update and asks for a password again since Monday".split()


def record(at):
    pick = random.Random(at)
    words = [pick.choice(WORDS) for _ in range(7)]
    return {
        "sys_id": f"{pick.getrandbits(128):032x}",
        "number": f"INC{10000 + at * 7 % 200:07d}",
        "short_description": " ".join(words[:4]),
        "description": " ".join(words[4:]),
        "state": {"value": "2", "display_value": pick.choice(["New", "In Progress", "On Hold"])},
        "priority": str(1 + at % 5),
        "active": True,
        "assigned_to": {"value": f"{at:032x}", "display_value": f"Ada Lovelace {at}"} if at % 4 else "",
        "assignment_group": {"value": "g", "display_value": pick.choice(GROUPS)},
        "caller_id": {"value": "c", "display_value": f"Zoë Müller {at}"},
        "opened_at": f"2026-03-{1 + at % 28:02d} 08:15:00",
        "sys_updated_on": f"2026-03-{1 + at % 28:02d} 17:45:10",
        "minutes": at * 37 % 480,
    }


CONTEXT = {
    "input": {
        "id": 4711, "firstName": " Ada", "lastName": "Lovelace ", "email": "Ada@Example.com", "phone": "+44 20 7946 0000",
        "company": {"name": "Analytical Engines & Sons", "vat": "gb 123 4567 89"},
        "address": {"street": "12 St James's Square", "postalCode": "SW1Y 4JH", "city": "london", "country": ""},
        "language": "en-GB", "tags": ["vip", "early"], "score": 7, "creditLimit": 1234.567, "newsletter": True,
    },
    "request": {"id": "req-7f3a9c", "method": "POST", "headers": {}, "query_parameters": {}},
    "user": {"id": "u1", "email": "Grace.Hopper@Example.com", "username": "grace", "first_name": "Grace", "last_name": "Hopper"},
    "tenant": {"name": "acme", "plan": "team"},
    "response": {"status_code": 200, "headers": {"content-type": "application/json"},
                 "json": {"result": [record(at) for at in range(200)]}},
}

if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(CONTEXT, file, ensure_ascii=False)
