//! Cron expressions. The parser is croner, here and (of the same author, on npm) in TypeScript; what the two
//! do not read alike is refused before they see it. Zones are no matter of this file: it knows local times.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::{Date, date};

use super::when::{WhenError, WhenErrorCode};
use super::zone::civil;
use crate::limits::EXPRESSION_MAX_BYTES;

/// A cron expression that was read.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    cron: Cron,
    /// Whether it has a `*` for the minute or the hour: such a schedule goes on in real time when the
    /// clocks change, the others keep to the times they name.
    pub(super) is_periodic: bool,
    /// Its five fields.
    pub(super) fields: [String; 5],
}

impl Expression {
    pub(super) fn read(text: &str) -> Result<Self, WhenError> {
        let fields = fields(text)?;
        for (field, about) in fields.iter().zip(&FIELDS) {
            check_field(field, about)?;
        }
        let cron = parser().parse(&fields.join(" ")).map_err(|_| {
            WhenError::new(
                WhenErrorCode::Field,
                format!("\"{text}\" is not a cron expression. {EXAMPLE}"),
            )
        })?;
        let expression = Self {
            cron,
            is_periodic: fields[0].contains('*') || fields[1].contains('*'),
            fields,
        };
        if expression.next_local(YEAR_2000).is_none() {
            return Err(WhenError::new(
                WhenErrorCode::Never,
                format!(
                    "\"{text}\" never fires: no month has such a day. Choose a date that exists, or L for the last day of the month."
                ),
            ));
        }
        Ok(expression)
    }

    /// The first local time of the expression that is not before `local`, in seconds.
    pub(super) fn next_local(&self, local: i64) -> Option<i64> {
        let from =
            Local(local.div_euclid(60) * 60 + if local.rem_euclid(60) == 0 { 0 } else { 60 });
        self.cron
            .find_next_occurrence(&from, true)
            .ok()
            .map(|found| found.0)
    }
}

/// 2000-01-01T00:00, as a local time. In the 40 years after it every date comes on every day of the week.
const YEAR_2000: i64 = 946_684_800;

const EXAMPLE: &str = "An expression is five fields: minute, hour, day of the month, month, day of the week; \"0 9 * * 1-5\" is every weekday at 9.";

struct About {
    name: &'static str,
    values: u32,
    names: &'static [&'static str],
    allowed: &'static str,
}

impl About {
    /// Whether an item of the field's list has a form that both parsers know.
    fn takes(&self, item: &str) -> bool {
        let item = item.to_ascii_uppercase();
        match (self.values, item.as_str()) {
            (_, "*") | (7 | 31, "?") | (31, "L" | "LW") => return true,
            (31, item) if item.strip_suffix('W').is_some_and(|day| self.has(day)) => return true,
            (7, item) => {
                if let Some((days, place)) = item.split_once('#') {
                    return (matches!(place, "1" | "2" | "3" | "4" | "5") && self.has_range(days))
                        || (place == "L" && self.has(days));
                }
                if item.strip_suffix('L').is_some_and(|day| self.has(day)) {
                    return true;
                }
            }
            _ => {}
        }
        match item.split_once('/') {
            Some(("*", step)) => !step.is_empty(),
            Some((range, step)) => !step.is_empty() && range.contains('-') && self.has_range(range),
            None => self.has_range(&item),
        }
    }

    fn has_range(&self, range: &str) -> bool {
        match range.split_once('-') {
            Some((from, to)) => self.has(from) && self.has(to),
            None => self.has(range),
        }
    }

    fn has(&self, value: &str) -> bool {
        let is_number =
            (1..=2).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        let least = u32::from(matches!(self.values, 31 | 12));
        // Sunday is 7 as well.
        let most = self.values - 1 + least + u32::from(self.values == 7);
        self.names.contains(&value)
            || (is_number
                && value
                    .parse::<u32>()
                    .is_ok_and(|value| (least..=most).contains(&value)))
    }
}

static FIELDS: [About; 5] = [
    About {
        name: "minute",
        values: 60,
        names: &[],
        allowed: "Minutes are 0 to 59",
    },
    About {
        name: "hour",
        values: 24,
        names: &[],
        allowed: "Hours are 0 to 23",
    },
    About {
        name: "day of the month",
        values: 31,
        names: &[],
        allowed: "Days are 1 to 31, L for the last one, LW for the last weekday, 15W for the weekday nearest to the 15th",
    },
    About {
        name: "month",
        values: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        allowed: "Months are 1 to 12 or JAN to DEC",
    },
    About {
        name: "day of the week",
        values: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        allowed: "Days are 0 to 7 or SUN to SAT (0 and 7 are Sunday), 1#2 for the second Monday, 5#L for the last Friday",
    },
];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

fn fields(text: &str) -> Result<[String; 5], WhenError> {
    if text.len() > EXPRESSION_MAX_BYTES {
        return Err(WhenError::new(
            WhenErrorCode::TooLong,
            format!(
                "The cron expression is longer than {EXPRESSION_MAX_BYTES} bytes. Make two schedules of it."
            ),
        ));
    }
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() {
        return Err(WhenError::new(
            WhenErrorCode::Empty,
            format!("The cron expression is empty. {EXAMPLE}"),
        ));
    }
    let lower = text.to_ascii_lowercase();
    let plain = NICKNAMES
        .iter()
        .find(|(name, _)| *name == lower)
        .map_or(text, |(_, plain)| plain);
    if plain.starts_with('@') {
        return Err(WhenError::new(
            WhenErrorCode::Fields,
            format!(
                "There is no \"{plain}\" here. There are @hourly, @daily, @midnight, @weekly, @monthly and @yearly."
            ),
        ));
    }
    let mut parts: Vec<&str> = plain
        .split([' ', '\t'])
        .filter(|part| !part.is_empty())
        .collect();
    if parts.len() == 6 {
        if parts[0] != "0" {
            return Err(WhenError::new(
                WhenErrorCode::TooOften,
                "Schedules fire on the minute, at most once a minute. Leave the field for the seconds out, or write 0.",
            ));
        }
        parts.remove(0);
    }
    <[&str; 5]>::try_from(parts.as_slice())
        .map(|parts| parts.map(str::to_owned))
        .map_err(|_| {
            let found = match parts.len() {
                1 => "one field".to_owned(),
                count => format!("{count} fields"),
            };
            WhenError::new(
                WhenErrorCode::Fields,
                format!("This cron expression has {found}. {EXAMPLE}"),
            )
        })
}

/// What both parsers read alike: anything else is refused here, and so is what neither takes.
fn check_field(field: &str, about: &About) -> Result<(), WhenError> {
    let is_day = about.values == 31 || about.values == 7;
    let refused = |why: String| {
        Err(WhenError::new(
            WhenErrorCode::Field,
            format!("The {} \"{field}\" can't be read: {why}", about.name),
        ))
    };
    if let Some(odd) = field
        .chars()
        .find(|letter| !letter.is_ascii_alphanumeric() && !"*,-/#?+".contains(*letter))
    {
        return refused(format!(
            "\"{odd}\" has no meaning in it. {}.",
            about.allowed
        ));
    }
    let list = field
        .strip_prefix('+')
        .filter(|_| about.values == 7)
        .unwrap_or(field);
    let items: Vec<&str> = list.split(',').collect();
    for item in &items {
        if item.is_empty() {
            return refused("a list has no empty places.".to_owned());
        }
        if items.len() > 1 && matches!(*item, "*" | "?") {
            return refused(format!("\"{item}\" is everything, so it stands alone."));
        }
        if items.len() > 1 && item.eq_ignore_ascii_case("LW") {
            return refused(format!(
                "\"{item}\" stands alone. Make two schedules of it."
            ));
        }
        if item.contains('?') && !(is_day && *item == "?") {
            return refused(
                "\"?\" is for days, alone in its field. Write \"*\" for all.".to_owned(),
            );
        }
        if about.values == 7 && item.eq_ignore_ascii_case("L") {
            return refused(format!("\"L\" needs a day before it. {}.", about.allowed));
        }
        if let Some((_, step)) = item.split_once('/')
            && step.bytes().all(|byte| byte.is_ascii_digit())
            && !step
                .parse::<u32>()
                .is_ok_and(|step| (1..=about.values).contains(&step))
        {
            return refused(format!("steps are 1 to {}.", about.values));
        }
    }
    let alone: Vec<&str> = FIELDS
        .iter()
        .map(|other| if other.name == about.name { field } else { "*" })
        .collect();
    let is_known = items.iter().all(|item| about.takes(item));
    if !is_known || parser().parse(&alone.join(" ")).is_err() {
        return refused(format!(
            "{}; also ranges (2-5), lists (2,5) and steps (*/5).",
            about.allowed
        ));
    }
    Ok(())
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
}

/// A local time, in seconds since 1970-01-01T00:00 local: for the parser, a clock that nobody ever touches.
#[derive(Debug, Clone, Copy)]
struct Local(i64);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let at = civil(self.0);
        let part = |value: i8| u32::try_from(value).unwrap_or_default();
        CivilDateTime::from_ymd_hms_opt(
            i32::from(at.year()),
            part(at.month()),
            part(at.day()),
            part(at.hour()),
            part(at.minute()),
            part(at.second()),
        )
        .unwrap_or(CivilDateTime::new(
            croner::CivilDate::from_parts_unchecked(1970, 1, 1),
            croner::CivilTime::from_parts_unchecked(0, 0, 0),
        ))
    }

    fn civil_weekday(&self) -> Weekday {
        // 1970-01-01 was a Thursday.
        let days = (self.0.div_euclid(86_400) + 4).rem_euclid(7);
        Weekday::from_days_from_sunday(u32::try_from(days).unwrap_or_default())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let small = |value: u32| i8::try_from(value).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let day = Date::new(year, small(civil.month())?, small(civil.day())?)
            .map_err(|_| CronError::InvalidDate)?;
        let days = day.duration_since(date(1970, 1, 1)).as_hours() / 24;
        Ok(Resolution::Single(Self(
            days * 86_400 + i64::from(civil.hour() * 3_600 + civil.minute() * 60 + civil.second()),
        )))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds).map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
