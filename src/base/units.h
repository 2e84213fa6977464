// Physical quantities whose dimension is part of their type, so that seconds plus bytes does not compile.
// Values are doubles in base units (s, byte, flop, J, K); ratios are plain doubles. Temperatures are affine
// (Celsius): differences are Kelvins. Scheduler time is integer and lives in clock.h.
#pragma once

#include <compare>

namespace tinderbox {

// Exponents of the base units: second, byte, flop, joule, kelvin.
struct Dim {
  int s = 0, byte = 0, flop = 0, joule = 0, kelvin = 0;
  friend constexpr bool operator==(Dim, Dim) = default;
  friend constexpr Dim operator+(Dim a, Dim b) {
    return {a.s + b.s, a.byte + b.byte, a.flop + b.flop, a.joule + b.joule, a.kelvin + b.kelvin};
  }
  friend constexpr Dim operator-(Dim a, Dim b) {
    return {a.s - b.s, a.byte - b.byte, a.flop - b.flop, a.joule - b.joule, a.kelvin - b.kelvin};
  }
};

template <Dim D>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double value) : value_(value) {}
  // The number in base units.
  constexpr double value() const { return value_; }

  constexpr Quantity& operator+=(Quantity o) { value_ += o.value_; return *this; }
  constexpr Quantity& operator-=(Quantity o) { value_ -= o.value_; return *this; }
  constexpr Quantity& operator*=(double k) { value_ *= k; return *this; }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator-(Quantity a) { return Quantity(-a.value_); }
  friend constexpr Quantity operator*(Quantity a, double k) { return Quantity(a.value_ * k); }
  friend constexpr Quantity operator*(double k, Quantity a) { return Quantity(k * a.value_); }
  friend constexpr Quantity operator/(Quantity a, double k) { return Quantity(a.value_ / k); }
  friend constexpr auto operator<=>(Quantity a, Quantity b) = default;

 private:
  double value_ = 0;
};

template <Dim A, Dim B>
constexpr auto operator*(Quantity<A> a, Quantity<B> b) {
  if constexpr (A + B == Dim{}) {
    return a.value() * b.value();
  } else {
    return Quantity<A + B>(a.value() * b.value());
  }
}

template <Dim A, Dim B>
constexpr auto operator/(Quantity<A> a, Quantity<B> b) {
  if constexpr (A == B) {
    return a.value() / b.value();
  } else {
    return Quantity<A - B>(a.value() / b.value());
  }
}

template <Dim A>
constexpr auto operator/(double k, Quantity<A> a) {
  return Quantity<Dim{} - A>(k / a.value());
}

using Seconds = Quantity<Dim{.s = 1}>;
using Hertz = Quantity<Dim{.s = -1}>;
using Bytes = Quantity<Dim{.byte = 1}>;
using Flops = Quantity<Dim{.flop = 1}>;
using Joules = Quantity<Dim{.joule = 1}>;
using Kelvins = Quantity<Dim{.kelvin = 1}>;
using Watts = Quantity<Dim{.s = -1, .joule = 1}>;
using BytesPerSecond = Quantity<Dim{.s = -1, .byte = 1}>;
using FlopsPerSecond = Quantity<Dim{.s = -1, .flop = 1}>;

// A temperature on the Celsius scale. Two of them differ by Kelvins and cannot be added.
class Celsius {
 public:
  constexpr Celsius() = default;
  constexpr explicit Celsius(double degrees) : degrees_(degrees) {}
  constexpr double degrees() const { return degrees_; }
  friend constexpr Kelvins operator-(Celsius a, Celsius b) { return Kelvins(a.degrees_ - b.degrees_); }
  friend constexpr Celsius operator+(Celsius a, Kelvins b) { return Celsius(a.degrees_ + b.value()); }
  friend constexpr Celsius operator-(Celsius a, Kelvins b) { return Celsius(a.degrees_ - b.value()); }
  friend constexpr auto operator<=>(Celsius a, Celsius b) = default;

 private:
  double degrees_ = 0;
};

inline constexpr double kKiB = 1024.0, kMiB = 1024.0 * kKiB, kGiB = 1024.0 * kMiB;
inline constexpr double kKB = 1e3, kMB = 1e6, kGB = 1e9;

}  // namespace tinderbox
