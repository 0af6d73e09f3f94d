//! The way back: what a schedule's timing says, in words.

use super::firing::Timing;
use super::note::{clock_time, day, length};
use super::phrase::{DAYS, MONTHS, ORDINALS, ordinal_ending};
use super::when::When;
use super::{cron::Expression, firing::seconds, zone::Zone};

/// The phrase that [`super::read_phrase`] makes this of, if there is one.
#[must_use]
pub fn phrase(when: &When) -> Option<String> {
    match when {
        When::Cron { .. } => cron(Timing::new(when).ok()?.expression()?),
        When::Interval {
            every_minutes,
            anchor,
            ..
        } => Some(interval(
            *every_minutes,
            seconds(*anchor),
            Timing::new(when).ok()?.zone(),
        )),
        When::Unknown => None,
    }
}

/// A sentence for any timing: its phrase, or the expression itself, and the zone.
#[must_use]
pub fn sentence(when: &When) -> String {
    match (when, phrase(when)) {
        (When::Interval { .. }, Some(phrase)) => capitalised(&phrase),
        (When::Cron { zone, .. }, Some(phrase)) => format!("{}, {zone} time", capitalised(&phrase)),
        (When::Cron { expression, zone }, None) => {
            format!("At the times of the cron expression \"{expression}\", {zone} time")
        }
        (When::Interval { .. } | When::Unknown, _) => {
            "At times that this version does not know".to_owned()
        }
    }
}

fn interval(every_minutes: u32, anchor: i64, zone: &Zone) -> String {
    let local = anchor + zone.offset_at(anchor);
    let every = match length(i64::from(every_minutes)).as_str() {
        "1 minute" => "minute".to_owned(),
        "1 hour" => "hour".to_owned(),
        _ if every_minutes.is_multiple_of(60) => format!("{} hours", every_minutes / 60),
        _ => format!("{every_minutes} minutes"),
    };
    let time = clock_time(local);
    if 1_440 % every_minutes != 0 {
        format!("every {every} from {} {time}", day(local))
    } else if time == "00:00" {
        format!("every {every}")
    } else {
        format!("every {every} from {time}")
    }
}

fn cron(expression: &Expression) -> Option<String> {
    let [minute, hour, day_of_month, month, day_of_week] = &expression.fields;
    let minute = number(minute, 59)?;
    if let ["*", "*", "*", "*"] = [hour, day_of_month, month, day_of_week].map(String::as_str) {
        return Some(format!("every hour at :{minute:02}"));
    }
    let times = numbers(hour, 23)?
        .into_iter()
        .map(|hour| format!("{hour:02}:{minute:02}"))
        .collect();
    let days = days(day_of_month, month, day_of_week)?;
    Some(format!("{days} at {}", listed(times)))
}

fn days(day_of_month: &str, month: &str, day_of_week: &str) -> Option<String> {
    let day_of_week = named_as_numbers(day_of_week);
    match (day_of_month, month, day_of_week.as_str()) {
        ("*", "*", "*") => Some("every day".to_owned()),
        ("*", "*", "1-5") => Some("every weekday".to_owned()),
        ("L" | "l", "*", "*") => Some("on the last day of each month".to_owned()),
        ("LW" | "lw", "*", "*") => Some("on the last weekday of each month".to_owned()),
        ("1W" | "1w", "*", "*") => Some("on the first weekday of each month".to_owned()),
        ("*", "*", days) => match days.split_once('#') {
            Some((day, which)) => {
                let day = weekday(number(day, 7)?);
                let which = if which.eq_ignore_ascii_case("L") {
                    "last"
                } else {
                    ORDINALS.get((number(which, 5)? as usize).checked_sub(1)?)?
                };
                Some(format!("on the {which} {day} of each month"))
            }
            None => {
                let mut days: Vec<u32> = numbers(days, 7)?.into_iter().map(|day| day % 7).collect();
                // The week begins on Monday.
                days.sort_unstable_by_key(|day| (day + 6) % 7);
                days.dedup();
                Some(format!(
                    "every {}",
                    listed(days.into_iter().map(weekday).collect())
                ))
            }
        },
        (days, "*", "*") => {
            let days = numbers(days, 31)?
                .into_iter()
                .map(|day| format!("{day}{}", ordinal_ending(day)))
                .collect();
            Some(format!("on the {} of each month", listed(days)))
        }
        (day, month, "*") => {
            let name = MONTHS.get((number(month, 12)? as usize).checked_sub(1)?)?;
            Some(format!(
                "every year on {} {}",
                number(day, 31)?,
                capitalised(name)
            ))
        }
        _ => None,
    }
}

fn named_as_numbers(field: &str) -> String {
    let mut field = field.to_ascii_lowercase();
    for (number, day) in DAYS.iter().enumerate() {
        field = field.replace(&day[..3], &number.to_string());
    }
    field
}

fn weekday(day: u32) -> String {
    capitalised(DAYS[day as usize % 7])
}

fn numbers(field: &str, most: u32) -> Option<Vec<u32>> {
    let mut values = field
        .split(',')
        .map(|item| number(item, most))
        .collect::<Option<Vec<_>>>()?;
    values.sort_unstable();
    values.dedup();
    Some(values)
}

fn number(digits: &str, most: u32) -> Option<u32> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
        .filter(|value| *value <= most)
}

fn listed(mut items: Vec<String>) -> String {
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}
