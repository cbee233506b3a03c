"""Feedback on recommendations: records impressions and clicks in Parquet files."""
