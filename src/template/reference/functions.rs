//! The functions that templates can call.

use super::Callable;

/// All functions, by name.
pub const FUNCTIONS: &[Callable] = &[
    Callable {
        name: "dict",
        signature: "dict(map=…, key=value, …)",
        meaning: "Makes a map that the template can change, from a map or a list of pairs and from keyword arguments.",
        example: "{{ dict({'a': 1}, b=2) }}",
        result: r#"{"a":1,"b":2}"#,
    },
    Callable {
        name: "get_secret",
        signature: "get_secret(name)",
        meaning: "The value of a secret of the environment. The name must be a text in quotes.",
        example: "{{ get_secret('orbit-key') }}",
        result: "k-123",
    },
    Callable {
        name: "get_variable",
        signature: "get_variable(name)",
        meaning: "The value of a variable of the connection, the tenant or the environment, in this order. The name must be a text in quotes.",
        example: "{{ get_variable('region') }} {{ get_variable('language') | default('en') }}",
        result: "eu en",
    },
    Callable {
        name: "jwt_encode",
        signature: "jwt_encode(payload, key, algorithm, headers=…)",
        meaning: "Signs a JSON Web Token. `key` is a shared secret for `HS256`, `HS384` and `HS512`, and a private key in PEM for the \
                  `RS`, `PS` and `ES` algorithms and `EdDSA`.",
        example: "{{ jwt_encode({'iss': 'evenkeel'}, 'shared', 'HS256') }}",
        result: "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJldmVua2VlbCJ9.ZLSer8he1AsNtkPj8L8wj4gd4fySncAqJP3N2UcHbDA",
    },
    Callable {
        name: "namespace",
        signature: "namespace(map=…, key=value, …)",
        meaning: "Makes an object whose attributes `set` can change within a loop.",
        example: "{% set sum = namespace(total=0) %}{% for n in [1, 2] %}{% set sum.total = sum.total + n %}{% endfor %}{{ sum.total }}",
        result: "3",
    },
    Callable {
        name: "now",
        signature: "now(offset=0)",
        meaning: "The time in seconds since 1970, plus a number of seconds.",
        example: "{{ now() }} {{ now(-3600) }}",
        result: "1772366400 1772362800",
    },
    Callable {
        name: "range",
        signature: "range(start, stop=…, step=1)",
        meaning: "A list of numbers. With one argument it counts from 0 to the number before it. At most 100,000.",
        example: "{{ range(3) }} {{ range(1, 8, 3) }}",
        result: "[0,1,2] [1,4,7]",
    },
];
