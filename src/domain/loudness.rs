//! How loud a mix becomes. EBU R 128: integrated loudness with gating, in LUFS; true peaks in dBTP.

/// What a mix is brought to: the podcast level, which a phone's speaker can still play.
pub const TARGET_LUFS: f64 = -16.0;
/// A programme below this is room noise; it is left as it is.
pub const FLOOR_LUFS: f64 = -50.0;
/// More would raise the noise of a quiet room into the foreground.
pub const GAIN_DB_MAX: f64 = 20.0;
/// True peaks of the finished file stay below this.
pub const PEAK_DBTP_MAX: f64 = -1.0;
/// Where the limiter stands: lossy encoding moves peaks, by about a decibel at our rate.
pub const LIMIT_DBTP: f64 = -2.5;
/// The limiter takes loudness away; the gain is corrected until the result is this near the target.
pub const NEAR_LU: f64 = 0.3;
/// And no oftener than this: a programme of single clicks never gets there.
pub const CORRECTIONS_MAX: usize = 4;

/// The gain for a programme of this integrated loudness (`None`: too short or too silent to have
/// one).
pub fn gain_db(measured_lufs: Option<f64>) -> f64 {
    match measured_lufs {
        Some(lufs) if lufs.is_finite() && lufs >= FLOOR_LUFS => {
            (TARGET_LUFS - lufs).min(GAIN_DB_MAX)
        }
        _ => 0.0,
    }
}

/// The next gain to try when `gain_db` gave `result_lufs` behind the limiter; `None` when it is
/// good, or as good as it gets.
pub fn correct(gain_db: f64, result_lufs: Option<f64>) -> Option<f64> {
    let result = result_lufs.filter(|lufs| lufs.is_finite())?;
    let missing = TARGET_LUFS - result;
    let next = (gain_db + missing).min(GAIN_DB_MAX);
    (missing.abs() > NEAR_LU && (next - gain_db).abs() > 0.05).then_some(next)
}

/// Decibels to a factor of amplitude.
pub fn factor(db: f64) -> f32 {
    10f64.powf(db / 20.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gain_reaches_the_target_within_its_bounds() {
        for (measured, gain) in [
            (Some(-16.0), 0.0),
            (Some(-30.0), 14.0),
            (Some(-6.0), -10.0),
            (Some(-45.0), 20.0),
            (Some(-50.1), 0.0),
        ] {
            assert!((gain_db(measured) - gain).abs() < 1e-9, "{measured:?}");
        }
        for measured in [None, Some(f64::NEG_INFINITY), Some(f64::NAN)] {
            assert_eq!(gain_db(measured), 0.0);
        }
    }

    #[test]
    fn corrects_what_the_limiter_took_and_no_more() {
        assert_eq!(correct(10.0, Some(-16.2)), None);
        assert_eq!(correct(10.0, Some(-17.5)), Some(11.5));
        assert_eq!(correct(20.0, Some(-22.0)), None, "at the most already");
        assert_eq!(correct(19.0, Some(-22.0)), Some(20.0));
        assert_eq!(correct(3.0, None), None);
    }
}
