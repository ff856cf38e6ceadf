use super::super::{FieldLocation, Limits, RenderErrorKind, Template, analyse};
use super::context;

/// Tokens of random templates.
const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{{-",
    "-}}",
    "{%-",
    "-%}",
    " ",
    " ",
    " ",
    "\n",
    "for",
    "in",
    "if",
    "elif",
    "else",
    "endif",
    "endfor",
    "set",
    "endset",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "with",
    "endwith",
    "do",
    "raw",
    "endraw",
    "block",
    "loop",
    "self",
    "caller",
    "recursive",
    "not",
    "and",
    "or",
    "is",
    "input",
    "input.n",
    "response",
    "x",
    "y",
    "ns",
    "namespace",
    "range",
    "dict",
    "get_secret",
    "get_variable",
    "now",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ".",
    "|",
    "~",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "=",
    "'a'",
    "\"b\"",
    "'",
    "\"",
    "0",
    "1",
    "-1",
    "9999999999",
    "1.5",
    "true",
    "none",
    "upper",
    "join",
    "map",
    "tojson",
    "default",
    "slice",
    "batch",
    "ä",
    "\u{1F600}",
    "\\",
    "\0",
    "abc",
    "items()",
    "append(1)",
    "split(',')",
    "loop(x)",
    "loop.index",
    "loop.cycle(1)",
    "x.y",
    "{{ x }}",
    "{% set x = [] %}",
    "{% for x in input.tags %}",
    "{% endfor %}",
    "{% if x %}",
    "{% endif %}",
    "{{ input.name | upper }}",
];

/// A small generator of pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
}

#[test]
fn never_panics_on_random_tokens() {
    let ctx = context();
    let limits = Limits { fuel: 20_000, output_bytes: 1 << 16, work_bytes: 1 << 20, memory_bytes: 1 << 20 };
    let sites: Vec<FieldLocation> = FieldLocation::all().collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut compiled, mut rendered) = (0, 0);
    for round in 0..30_000 {
        let length = 1 + random.below(14);
        let mut source: String = (0..length).map(|_| WORDS[random.below(WORDS.len())]).collect();
        // Half of the token sequences are expressions, which pass more checks.
        if round % 2 == 0 {
            source = format!("{{{{ {source} }}}}");
        }
        let location = sites[random.below(sites.len())];
        let analysis = analyse(&source, location, round % 7 == 0);
        for problem in &analysis.problems {
            assert!(source.get(problem.range.clone()).is_some(), "{source:?}: {problem:?}");
        }
        for used in analysis.secrets.iter().chain(&analysis.variables) {
            assert!(source.get(used.range.clone()).is_some(), "{source:?}: {used:?}");
        }
        let Ok(template) = Template::compile(&source) else {
            assert!(!analysis.problems.is_empty(), "{source:?}");
            continue;
        };
        compiled += 1;
        for outcome in [template.render_text(&ctx, &limits).map(drop), template.render_value(&ctx, &limits).map(drop)] {
            match outcome {
                Ok(()) => rendered += 1,
                Err(error) => {
                    assert!(!error.message.is_empty(), "{source:?}");
                    assert!(error.kind != RenderErrorKind::Other, "{source:?}: {error:?}");
                    if let Some(range) = &error.range {
                        assert!(source.get(range.clone()).is_some(), "{source:?}: {error:?}");
                    }
                }
            }
        }
    }
    assert!(compiled > 500 && rendered > 500, "{compiled} {rendered}");
}
