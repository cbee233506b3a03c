"""What became of recommendations: impressions and clicks, kept as Parquet files."""
