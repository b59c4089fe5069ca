"""Layer 1, physics: batteries, chargers, wear, sites, grid codes, outages, vehicles."""
