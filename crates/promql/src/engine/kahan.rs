//! Compensated summation (Kahan-Babuška with Neumaier's improvement): sums that keep what rounding would lose.

/// A number and what rounding took away from it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Kahan {
    pub(crate) value: f64,
    pub(crate) compensation: f64,
}

impl From<f64> for Kahan {
    fn from(value: f64) -> Self {
        Self { value, compensation: 0.0 }
    }
}

impl Kahan {
    /// Adds one number.
    #[inline]
    pub(crate) fn add(&mut self, increment: f64) {
        let total = self.value + increment;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.value.abs() >= increment.abs() {
            self.compensation += (self.value - total) + increment;
        } else {
            self.compensation += (increment - total) + self.value;
        }
        self.value = total;
    }

    /// The sum of two, both compensations included.
    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.add(other.value);
        if other.compensation != 0.0 {
            self.add(other.compensation);
        }
        self
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, compensation: self.compensation * factor }
    }

    pub(crate) fn over(self, divisor: f64) -> Self {
        Self { value: self.value / divisor, compensation: self.compensation / divisor }
    }

    /// The number with its compensation.
    pub(crate) fn total(self) -> f64 {
        self.value + self.compensation
    }
}

/// A running mean of floats: the compensated sum divided at the end; where the sum would overflow, the
/// incremental mean from there on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    sum: Kahan,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn new(first: f64) -> Self {
        Self { sum: first.into(), count: 1.0, incremental: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut tried = self.sum;
            tried.add(value);
            if !tried.value.is_infinite() {
                self.sum = tried;
                return;
            }
            self.incremental = true;
            self.sum = self.sum.over(self.count - 1.0);
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum = self.sum.times(kept);
        self.sum.add(value / self.count);
    }

    pub(crate) fn finish(self) -> f64 {
        if self.incremental {
            self.sum.total()
        } else {
            self.sum.value / self.count + self.sum.compensation / self.count
        }
    }
}

/// Running variance after Welford, compensated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Variance {
    count: f64,
    mean: Kahan,
    squares: Kahan,
}

impl Variance {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.total();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.total()));
    }

    /// The population variance.
    pub(crate) fn finish(self) -> f64 {
        self.squares.total() / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_takes_comes_back() {
        let mut sum = Kahan::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 2.0);
    }

    #[test]
    fn an_infinite_sum_stays_infinite() {
        let mut sum = Kahan::from(f64::INFINITY);
        sum.add(1.0);
        assert_eq!(sum.total(), f64::INFINITY);
    }

    #[test]
    fn the_mean_of_the_largest_floats_is_that_float() {
        let mut mean = Mean::new(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.finish(), f64::MAX);
        let mut mean = Mean::new(1.0);
        mean.add(2.0);
        assert_eq!(mean.finish(), 1.5);
    }

    #[test]
    fn equal_values_have_no_variance() {
        let mut variance = Variance::default();
        for _ in 0..3 {
            variance.add(13.3);
        }
        assert_eq!(variance.finish(), 0.0);
    }
}
