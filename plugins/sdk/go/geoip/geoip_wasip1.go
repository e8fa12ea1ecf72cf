// Package geoip tells where an address is. Needs `[needs] geoip = true` in the manifest.
package geoip

import wit "trellis/internal/wit/trellis_plugin_geoip"

// Location is where an address is; what is not known is empty.
type Location struct {
	// ISO 3166-1 alpha-2, `DE`.
	Country string
	// In English.
	City                string
	Latitude, Longitude float64
}

// Lookup tells where an address is, and whether that is known.
func Lookup(ip string) (Location, bool) {
	found, is := wit.Lookup(ip).Get()
	return Location{
		Country: found.Country.Some(), City: found.City.Some(),
		Latitude: found.Latitude.Some(), Longitude: found.Longitude.Some(),
	}, is
}
