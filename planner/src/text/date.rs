//! Days since 1970-01-01 and the proleptic Gregorian calendar, for years 0001 to 9999.

const DAYS_MIN: i128 = -719_162;
const DAYS_MAX: i128 = 2_932_896;

/// `YYYY-MM-DD`, if the day has a year of four digits.
pub(super) fn from_days(days: i128) -> Option<String> {
    if !(DAYS_MIN..=DAYS_MAX).contains(&days) {
        return None;
    }
    // H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: eras of 400 years that begin on March 1.
    let shifted = days as i64 + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// The day that `YYYY-MM-DD` names, if there is one.
pub(super) fn to_days(text: &str) -> Option<i128> {
    let mut parts = text.split('-');
    let mut part = |len: usize| {
        parts.next().filter(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year == 0 {
        return None;
    }
    // days_from_civil of the same paper.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = i128::from(era * 146_097 + day_of_era - 719_468);
    // The 31st of a month of 30 days is a day of the next month: not what the text says.
    (from_days(days)? == text).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day there is survives the trip; what is no day is refused.
    #[test]
    fn round_trip() {
        assert_eq!(from_days(0).unwrap(), "1970-01-01");
        assert_eq!(from_days(10_471).unwrap(), "1998-09-02");
        for days in (DAYS_MIN..=DAYS_MAX).step_by(97).chain([DAYS_MIN, DAYS_MAX, -1, 11_016]) {
            assert_eq!(to_days(&from_days(days).unwrap()), Some(days));
        }
        assert_eq!((from_days(DAYS_MIN - 1), from_days(DAYS_MAX + 1)), (None, None));
        for text in ["1999-02-29", "2000-00-01", "2000-1-01", "2000-01-32", "0000-01-01", "+200-01-01", ""] {
            assert_eq!(to_days(text), None, "{text}");
        }
    }
}
