use super::*;

#[test]
fn resolves_scalars_by_the_core_schema() {
    let number = |value: &str| Plain::Number(value.parse().unwrap());
    let cases = [
        ("", Plain::Null),
        ("~", Plain::Null),
        ("null", Plain::Null),
        ("NULL", Plain::Null),
        ("nULL", Plain::Text),
        ("true", Plain::Bool(true)),
        ("FALSE", Plain::Bool(false)),
        ("NO", Plain::Text),
        ("on", Plain::Text),
        ("yes", Plain::Text),
        ("y", Plain::Text),
        ("1", number("1")),
        ("+1", number("1")),
        ("-0", number("0")),
        ("9223372036854775807", number("9223372036854775807")),
        ("-9223372036854775808", number("-9223372036854775808")),
        ("18446744073709551615", number("18446744073709551615")),
        ("9007199254740993", number("9007199254740993")),
        ("18446744073709551616", Plain::TooLarge(Number::from_f64(18446744073709551616.0).unwrap())),
        ("0x1F", number("31")),
        ("0xFFFFFFFFFFFFFFFFF", Plain::TooLarge(u64::MAX.into())),
        ("0xG", Plain::Text),
        ("0o17", number("15")),
        ("0o8", Plain::Text),
        ("0b1", Plain::Text),
        ("0123", Plain::Ambiguous(123.into())),
        ("-012", Plain::Ambiguous((-12).into())),
        ("00", Plain::Ambiguous(0.into())),
        ("0", number("0")),
        ("1e3", number("1e3")),
        (".5", number("0.5")),
        ("5.", number("5.0")),
        ("1.5e-3", number("0.0015")),
        ("1e400", Plain::NotFinite),
        (".inf", Plain::NotFinite),
        ("-.INF", Plain::NotFinite),
        (".nan", Plain::NotFinite),
        ("-.nan", Plain::Text),
        ("inf", Plain::Text),
        ("1_000", Plain::Text),
        ("12:30:45", Plain::Text),
        ("2024-01-31", Plain::Text),
        ("1.2.3", Plain::Text),
        ("1e", Plain::Text),
        ("-", Plain::Text),
        ("+", Plain::Text),
        (".", Plain::Text),
        (".e1", Plain::Text),
        ("1 2", Plain::Text),
    ];
    for (text, expected) in cases {
        assert_eq!(plain(text), expected, "{text:?}");
    }
}

#[test]
fn negative_zero_keeps_its_sign_as_a_float() {
    let Plain::Number(zero) = plain("-0.0") else { panic!("no number") };
    assert!(zero.as_f64().unwrap().is_sign_negative());
}
