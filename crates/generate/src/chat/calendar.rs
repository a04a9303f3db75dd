//! Dates as `strftime` writes them: [`Moment`].

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A second of the Gregorian calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    /// From 1 January on, from 1.
    day_of_year: u64,
    /// From Monday on, from 0.
    weekday: usize,
    /// Of the day.
    seconds: u64,
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Moment {
    /// Seconds after the beginning of 1970.
    pub(super) fn of_unix_seconds(seconds: u64) -> Self {
        let days = seconds / 86_400;
        let (mut year, mut left) = (1970, days);
        while left >= days_of_year(year) {
            left -= days_of_year(year);
            year += 1;
        }
        let (day_of_year, mut month) = (left + 1, 1);
        while left >= days_of_month(year, month) {
            left -= days_of_month(year, month);
            month += 1;
        }
        let weekday = ((days + 3) % 7) as usize; // 1 January 1970 was a Thursday
        Self { year, month, day: left + 1, day_of_year, weekday, seconds: seconds % 86_400 }
    }

    /// By a format of `strftime`.
    ///
    /// # Errors
    /// The first code that is not known here.
    pub(super) fn format(&self, format: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let code = chars.next().unwrap_or('%');
            let (code, padded) = if code == '-' { (chars.next().unwrap_or('-'), false) } else { (code, true) };
            text.push_str(&self.part(code, padded).ok_or_else(|| format!("%{code}"))?);
        }
        Ok(text)
    }

    fn part(&self, code: char, padded: bool) -> Option<String> {
        let Self { year, month, day, day_of_year, weekday, seconds } = *self;
        let (hour, month_name, day_name) = (seconds / 3600, MONTHS[month as usize - 1], DAYS[weekday]);
        let number = |value: u64, width: usize| if padded { format!("{value:0width$}") } else { value.to_string() };
        Some(match code {
            'Y' => year.to_string(),
            'y' => number(year % 100, 2),
            'm' => number(month, 2),
            'd' => number(day, 2),
            'e' => format!("{day:2}"),
            'j' => number(day_of_year, 3),
            'B' => month_name.to_owned(),
            'b' | 'h' => month_name[..3].to_owned(),
            'A' => day_name.to_owned(),
            'a' => day_name[..3].to_owned(),
            'H' => number(hour, 2),
            'I' => number((hour + 11) % 12 + 1, 2),
            'M' => number(seconds / 60 % 60, 2),
            'S' => number(seconds % 60, 2),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => format!("{year}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `datetime.fromtimestamp(seconds, timezone.utc).strftime(format)` of Python gives.
    #[test]
    fn dates_are_those_of_python() {
        let format = "%Y-%m-%d %H:%M:%S %A %a %B %b %j %y %I %p %-d %%";
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 Thursday Thu January Jan 001 70 12 AM 1 %"),
            (951_782_399, "2000-02-28 23:59:59 Monday Mon February Feb 059 00 11 PM 28 %"),
            (951_782_400, "2000-02-29 00:00:00 Tuesday Tue February Feb 060 00 12 AM 29 %"),
            (1_709_210_096, "2024-02-29 12:34:56 Thursday Thu February Feb 060 24 12 PM 29 %"),
            (4_107_542_400, "2100-03-01 00:00:00 Monday Mon March Mar 060 00 12 AM 1 %"),
        ] {
            assert_eq!(Moment::of_unix_seconds(seconds).format(format).as_deref(), Ok(expected));
        }
        assert_eq!(Moment::of_unix_seconds(0).format("%Q"), Err("%Q".to_owned()));
    }
}
