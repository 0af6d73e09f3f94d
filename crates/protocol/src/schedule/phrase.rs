//! When to fire, in words: a short list of phrases that says most of what people want.
//!
//! `every weekday at 9` · `every day at 09:00 and 18:00` · `every Monday and Thursday at 8:30` ·
//! `on the 1st and 15th of each month at 7` · `on the last day of each month at 18:00` ·
//! `on the second Tuesday of each month at noon` · `every year on 24 December at 8` · `every hour at :15` ·
//! `every 15 minutes` · `every 90 minutes from 08:00`

use jiff::civil::Date;

use super::firing::{Timing, seconds, timestamp};
use super::when::{When, WhenError, WhenErrorCode};
use super::zone::Zone;
use crate::limits::EXPRESSION_MAX_BYTES;
use crate::time::Timestamp;

/// The days of the week, Sunday first, as in a cron expression.
pub(super) const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
/// The months.
pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Which of its kind in a month; the last one is apart.
pub(super) const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

const COUNT_MAX_DIGITS: usize = 6;

const EXAMPLES: &str = "Write it like: every weekday at 9 · every Monday and Thursday at 8:30 · on the 1st of each month at 7 · every 15 minutes · every 6 hours from 08:00.";

/// Reads a phrase. An interval without a beginning begins at the last midnight of the zone.
///
/// # Errors
/// [`WhenError`] if it is none of the list, never fires, or if its zone is not known.
pub fn read_phrase(text: &str, zone: &str, now: Timestamp) -> Result<When, WhenError> {
    if text.len() > EXPRESSION_MAX_BYTES {
        return Err(WhenError::new(
            WhenErrorCode::TooLong,
            format!("The phrase is longer than {EXPRESSION_MAX_BYTES} bytes. {EXAMPLES}"),
        ));
    }
    let lower = text.to_ascii_lowercase().replace(',', " , ");
    let words: Vec<&str> = lower
        .trim_end_matches([' ', '\t', '.'])
        .split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return Err(WhenError::new(
            WhenErrorCode::Empty,
            format!("There is no phrase yet. {EXAMPLES}"),
        ));
    }
    let rules = Zone::find(zone)?;
    let when = if let Some((every_minutes, begins)) = interval(&words)? {
        When::Interval {
            every_minutes,
            anchor: anchor(&rules, &begins, now),
            zone: zone.to_owned(),
        }
    } else {
        let expression = match words.as_slice() {
            ["every", "hour", "at", minute] => minute
                .strip_prefix(':')
                .and_then(|minute| number(minute, 0, 59))
                .map(|minute| format!("{minute} * * * *")),
            _ => at_times(&words)?,
        };
        When::Cron {
            expression: expression.ok_or_else(|| {
                WhenError::new(
                    WhenErrorCode::Phrase,
                    format!("This phrase is not understood. {EXAMPLES}"),
                )
            })?,
            zone: zone.to_owned(),
        }
    };
    Timing::new(&when)?;
    Ok(when)
}

/// Where an interval begins.
enum Begins {
    AtMidnight,
    At { minute: u32, day: Option<Date> },
}

fn interval(words: &[&str]) -> Result<Option<(u32, Begins)>, WhenError> {
    let (length, rest) = match words {
        ["every", unit @ ("minute" | "hour" | "second"), rest @ ..] => ((1, *unit), rest),
        ["every", count, unit, rest @ ..] => match digits(count, COUNT_MAX_DIGITS) {
            Some(count) => ((count, *unit), rest),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let minutes = match length.1 {
        "minute" | "minutes" | "min" => length.0,
        "hour" | "hours" => length.0.saturating_mul(60),
        "second" | "seconds" => {
            return Err(WhenError::new(
                WhenErrorCode::TooOften,
                "Schedules fire at most once a minute. Write \"every minute\", or longer.",
            ));
        }
        "day" | "days" => return Err(of_days("every day at 9")),
        "week" | "weeks" => return Err(of_days("every Monday at 9")),
        "month" | "months" => return Err(of_days("on the 1st of each month at 9")),
        _ => return Ok(None),
    };
    let begins = match rest {
        [] => Begins::AtMidnight,
        ["from", time] | ["starting", "at", time] => match clock(time) {
            Some(minute) => Begins::At { minute, day: None },
            None => return Ok(None),
        },
        ["from", day, time] => match (date(day), clock(time)) {
            (Some(day), Some(minute)) => Begins::At {
                minute,
                day: Some(day),
            },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some((minutes, begins)))
}

fn of_days(example: &str) -> WhenError {
    WhenError::new(
        WhenErrorCode::Phrase,
        format!(
            "An interval is of minutes or hours, as in \"every 48 hours from 09:00\". For days of the calendar write \"{example}\"."
        ),
    )
}

fn date(word: &str) -> Option<Date> {
    let date = word.parse::<Date>().ok()?;
    (date.to_string() == word && (1970..2200).contains(&date.year())).then_some(date)
}

fn anchor(zone: &Zone, begins: &Begins, now: Timestamp) -> Timestamp {
    let now = seconds(now);
    let today = (now + zone.offset_at(now)).div_euclid(86_400) * 86_400;
    let local = match begins {
        Begins::AtMidnight => today,
        Begins::At { minute, day } => {
            let midnight = day.map_or(today, |day| {
                day.duration_since(jiff::civil::date(1970, 1, 1)).as_secs()
            });
            midnight + i64::from(*minute) * 60
        }
    };
    timestamp(zone.instant_of(local))
}

/// `DAYS at TIMES`, as a cron expression.
fn at_times(words: &[&str]) -> Result<Option<String>, WhenError> {
    let Some(at) = words.iter().position(|word| *word == "at") else {
        return Ok(None);
    };
    let (Some(days), Some(times)) = (days(&words[..at]), list(&words[at + 1..], clock)) else {
        return Ok(None);
    };
    let minute = times[0] % 60;
    if times.iter().any(|time| time % 60 != minute) {
        return Err(WhenError::new(
            WhenErrorCode::Phrase,
            "Several times in one schedule have the same minute, as in \"at 09:30 and 18:30\". Make a schedule for each of these times.",
        ));
    }
    let hours = joined(times.iter().map(|time| time / 60).collect());
    Ok(Some(format!("{minute} {hours} {days}")))
}

/// The last three fields of the expression.
fn days(words: &[&str]) -> Option<String> {
    let week = |days: &str| Some(format!("* * {days}"));
    match words {
        ["every", "day"] | ["daily"] => week("*"),
        ["every" | "each", "weekday"] | ["on", "weekdays"] | ["weekdays"] => week("1-5"),
        ["every", "weekend"] | ["on", "weekends"] | ["weekends"] => week("0,6"),
        ["on", "the", which @ .., "of", "each" | "every", "month"] => days_of_the_month(which),
        ["every", "year", "on", day, month] | ["every", day, month] => {
            date_of_the_year(day, month).or_else(|| named_days(&words[1..]))
        }
        ["every" | "on", rest @ ..] => named_days(rest),
        _ => named_days(words),
    }
}

fn named_days(words: &[&str]) -> Option<String> {
    let days = list(words, |word| {
        index(&DAYS, word.strip_suffix('s').unwrap_or(word))
    })?;
    Some(format!("* * {}", joined(days)))
}

fn days_of_the_month(words: &[&str]) -> Option<String> {
    match words {
        ["last", "day"] => Some("L * *".to_owned()),
        ["last", "weekday"] => Some("LW * *".to_owned()),
        ["first", "weekday"] => Some("1W * *".to_owned()),
        ["last", day] => index(&DAYS, day).map(|day| format!("* * {day}#L")),
        [which, day] if index(&ORDINALS, which).is_some() => {
            let (which, day) = (index(&ORDINALS, which)?, index(&DAYS, day)?);
            Some(format!("* * {day}#{}", which + 1))
        }
        _ => list(words, ordinal).map(|days| format!("{} * *", joined(days))),
    }
}

fn date_of_the_year(one: &str, other: &str) -> Option<String> {
    let (day, month) = match (index(&MONTHS, one), index(&MONTHS, other)) {
        (None, Some(month)) => (one, month),
        (Some(month), None) => (other, month),
        _ => return None,
    };
    let day = number(day, 1, 31).or_else(|| ordinal(day))?;
    Some(format!("{day} {} *", month + 1))
}

fn ordinal(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let day = number(digits, 1, 31)?;
    (word == format!("{day}{}", ordinal_ending(day))).then_some(day)
}

/// `st`, `nd`, `rd` or `th`.
pub(super) fn ordinal_ending(number: u32) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// `9`, `09:30`, `9am`, `9:30pm`, `noon` or `midnight`, as minutes since midnight.
fn clock(word: &str) -> Option<u32> {
    match word {
        "noon" => return Some(12 * 60),
        "midnight" => return Some(0),
        _ => {}
    }
    let (time, half) = if let Some(time) = word.strip_suffix("am") {
        (time, Some(0))
    } else if let Some(time) = word.strip_suffix("pm") {
        (time, Some(12))
    } else {
        (word, None)
    };
    let (hour, minute) = match time.split_once(':') {
        Some((hour, minute)) if minute.len() == 2 => (hour, number(minute, 0, 59)?),
        Some(_) => return None,
        None => (time, 0),
    };
    let hour = match half {
        Some(half) => number(hour, 1, 12)? % 12 + half,
        None => number(hour, 0, 23)?,
    };
    Some(hour * 60 + minute)
}

/// `a`, `a and b`, `a, b and c`.
fn list(words: &[&str], read: impl Fn(&str) -> Option<u32>) -> Option<Vec<u32>> {
    let mut values = Vec::new();
    let mut wants_value = true;
    for word in words {
        if wants_value && !matches!(*word, "and" | ",") {
            values.push(read(word)?);
            wants_value = false;
        } else if *word == "and" || *word == "," {
            // "a, b, and c" has both.
            wants_value = true;
        } else {
            return None;
        }
    }
    (!wants_value).then_some(values)
}

fn joined(mut values: Vec<u32>) -> String {
    values.sort_unstable();
    values.dedup();
    values
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn index(names: &[&str], word: &str) -> Option<u32> {
    names
        .iter()
        .position(|name| *name == word)
        .and_then(|place| u32::try_from(place).ok())
}

fn number(word: &str, least: u32, most: u32) -> Option<u32> {
    digits(word, 2).filter(|value| (least..=most).contains(value))
}

fn digits(word: &str, most: usize) -> Option<u32> {
    let fits = (1..=most).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| word.parse().ok())?
}
