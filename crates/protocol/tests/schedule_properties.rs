//! Firing, held to its definition: each minute is looked at by itself, with nothing but the zone's offset and
//! the parser's word on whether a local time matches.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp as Instant;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use protocol::Timestamp;
use protocol::schedule::{Timing, When};

/// Zones with changes of an hour, of half an hour, at midnight, of a whole day, and none.
const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/Santiago",
];

/// Some days around a change of each zone's clocks, or of any time.
fn instants() -> impl Strategy<Value = (usize, i64)> {
    (
        0..ZONES.len(),
        0_i64..4_000_000_000,
        any::<bool>(),
        -3_000_i64..3_000,
    )
        .prop_map(|(zone, at, near_change, minutes)| {
            let rules = TimeZoneDatabase::bundled().get(ZONES[zone]).unwrap();
            let change = rules
                .following(Instant::from_second(at).unwrap())
                .next()
                .map(|change| change.timestamp().as_second());
            match change {
                Some(change) if near_change => (zone, change + minutes * 60),
                _ => (zone, at),
            }
        })
}

fn expressions() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        Just("0"),
        Just("30"),
        Just("*/15"),
        Just("5,35"),
        Just("*"),
        Just("59")
    ];
    let hour = prop_oneof![
        Just("*"),
        Just("0"),
        Just("1"),
        Just("2"),
        Just("3"),
        Just("*/2"),
        Just("0-23/2"),
        Just("1,2,3"),
        Just("23"),
        Just("9")
    ];
    let day = prop_oneof![8 => Just("* *"), 1 => Just("1-15 *"), 1 => Just("L *")];
    let week =
        prop_oneof![8 => Just("*"), 2 => Just("0,6"), 1 => Just("SUN#1"), 1 => Just("SUN#L")];
    (minute, hour, day, week)
        .prop_map(|(minute, hour, day, week)| format!("{minute} {hour} {day} {week}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_fires_is_what_the_rule_says_of_each_minute((zone, from) in instants(), expression in expressions()) {
        let reference = Reference::new(&expression, ZONES[zone]);
        let from = from / 60 * 60;
        let until = from + 2 * 86_400;
        let expected: Vec<i64> = (from + 60..=until).step_by(60).filter(|at| reference.fires(*at)).collect();
        let timing = timing(&expression, ZONES[zone]);
        prop_assert_eq!(between(timing.as_ref(), from, until), expected, "{} in {}", expression, ZONES[zone]);
    }

    #[test]
    fn firings_go_forward_and_do_not_depend_on_where_one_looks_from((zone, from) in instants(), expression in expressions(), cut in 0_i64..200_000) {
        let timing = timing(&expression, ZONES[zone]);
        let whole = between(timing.as_ref(), from, from + 200_000);
        prop_assert!(whole.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{:?}", whole);
        let mut parts = between(timing.as_ref(), from, from + cut);
        parts.extend(between(timing.as_ref(), from + cut, from + 200_000));
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn an_interval_is_the_same_length_always(every in 1_u32..5_000, anchor in 0_u64..60_000_000, after in 0_u64..4_000_000_000_000) {
        let when = When::Interval { every_minutes: every, anchor: Timestamp::from_ms(anchor * 60_000), zone: "Europe/Berlin".into() };
        let timing = Timing::new(&when).unwrap();
        let next = timing.next_fire(Timestamp::from_ms(after)).unwrap().as_ms();
        let (anchor, every) = (anchor * 60_000, u64::from(every) * 60_000);
        prop_assert!(next > after && next >= anchor);
        prop_assert_eq!((next - anchor) % every, 0);
        prop_assert!(next == anchor || next - every <= after);
    }

    #[test]
    fn any_text_is_answered(text in "[ -~]{0,40}", zone in "[A-Za-z_/]{0,20}") {
        let _ = Timing::new(&When::Cron { expression: text.clone(), zone: zone.clone() });
        let _ = Timing::new(&When::Cron { expression: text.clone(), zone: "UTC".into() });
        let _ = protocol::schedule::read_phrase(&text, "UTC", Timestamp::from_ms(0));
    }
}

fn timing(expression: &str, zone: &str) -> Option<Timing> {
    // Some of these expressions are refused, because they never fire.
    Timing::new(&When::Cron {
        expression: expression.into(),
        zone: zone.into(),
    })
    .ok()
}

fn between(timing: Option<&Timing>, from: i64, until: i64) -> Vec<i64> {
    let Some(timing) = timing else {
        return Vec::new();
    };
    let at = |second: i64| Timestamp::from_ms(u64::try_from(second.max(0)).unwrap() * 1_000);
    let mut found = Vec::new();
    let mut last = at(from);
    while let Some(next) = timing.next_fire(last).filter(|next| *next <= at(until)) {
        assert!(next > last);
        found.push(i64::try_from(next.as_ms() / 1_000).unwrap());
        last = next;
    }
    found
}

struct Reference {
    cron: Cron,
    rules: TimeZone,
    is_periodic: bool,
}

impl Reference {
    fn new(expression: &str, zone: &str) -> Self {
        Self {
            cron: CronParser::new().parse(expression).unwrap(),
            rules: TimeZoneDatabase::bundled().get(zone).unwrap(),
            is_periodic: expression
                .split(' ')
                .take(2)
                .any(|field| field.contains('*')),
        }
    }

    fn local(&self, at: i64) -> i64 {
        let instant = Instant::from_second(at).unwrap();
        at + i64::from(self.rules.to_offset(instant).seconds())
    }

    fn matches(&self, local: i64) -> bool {
        let at = Instant::from_second(local).unwrap();
        let civil = jiff::tz::Offset::UTC.to_datetime(at);
        let pattern = &self.cron.pattern;
        let part = |value: i8| u32::try_from(value).unwrap();
        let weekday = u32::try_from(civil.weekday().to_sunday_zero_offset()).unwrap();
        local % 60 == 0
            && pattern.minute_match(part(civil.minute())).unwrap()
            && pattern.hour_match(part(civil.hour())).unwrap()
            && pattern.month_match(part(civil.month())).unwrap()
            && pattern
                .day_match(
                    i32::from(civil.year()),
                    part(civil.month()),
                    part(civil.day()),
                    croner::Weekday::from_days_from_sunday(weekday),
                )
                .unwrap()
    }

    fn fires(&self, at: i64) -> bool {
        let local = self.local(at);
        if self.is_periodic {
            return self.matches(local);
        }
        let before = self.local(at - 60) + 60;
        let jump = local - before;
        let was_jumped_over = (1..=3 * 3_600).contains(&jump)
            && (before..local)
                .step_by(60)
                .any(|wanted| self.matches(wanted));
        let came_before = || (1..=180).any(|minutes| self.local(at - minutes * 60) == local);
        was_jumped_over || (self.matches(local) && !came_before())
    }
}
