//! xorshift64*: the same numbers on every machine.

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, of: f64) -> bool {
        self.fraction() < of
    }

    /// From `from` up to `to`, not included.
    pub fn within(&mut self, from: i64, to: i64) -> i64 {
        from + (self.fraction() * (to - from) as f64) as i64
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0, of.len() as i64) as usize]
    }
}
