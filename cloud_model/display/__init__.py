"""Display: numbers, plots, tables and the one HTML renderer. It knows no class of the package."""
