// What overview.json has to be: Grafana's own types of a dashboard and of the two kinds of panel that are on it.
import type { Dashboard, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesField,
  Options as TimeSeries,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the text of an enum's member, not its name.
type Written<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Written<T[K]> } : T;

type Row = Omit<RowPanel, 'type'> & { type: 'row' };
type Base = Omit<Panel, 'type' | 'options' | 'fieldConfig'>;
// `custom` is what a kind of panel adds to a field; Grafana itself leaves it open.
type Fields<Custom> = { defaults: Omit<FieldConfigSource['defaults'], 'custom'> & Custom; overrides: [] };
type StatPanel = Base & { type: 'stat'; options: Stat; fieldConfig: Fields<unknown> };
type TimeSeriesPanel = Base & { type: 'timeseries'; options: TimeSeries; fieldConfig: Fields<{ custom: TimeSeriesField }> };

export type Overview = Written<Omit<Dashboard, 'panels'> & { panels: Array<Row | StatPanel | TimeSeriesPanel> }>;
