// What a dashboard file may say, by Grafana's own types; see README.md for how the schema is made of it.
import type { AnnotationQuery, Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel } from 'raw/dashboard/x/dashboard_types.gen';
import type * as bargauge from 'raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as gauge from 'raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as heatmap from 'raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as stat from 'raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from 'raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from 'raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from 'raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeseries from 'raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Fields that have a default in the server's schema may be left out of a file.
type Of<Kind extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig'> & {
  type: Kind;
  options: Partial<Options>;
  fieldConfig?: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> } };
};
type None = Record<string, never>;

export type Bargauge = Of<'bargauge', bargauge.Options, None>;
export type Gauge = Of<'gauge', gauge.Options, None>;
export type Heatmap = Of<'heatmap', heatmap.Options, heatmap.FieldConfig>;
export type Stat = Of<'stat', stat.Options, None>;
export type StateTimeline = Of<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>;
export type Table = Of<'table', table.Options, table.FieldConfig>;
export type Text = Of<'text', text.Options, None>;
export type Timeseries = Of<'timeseries', timeseries.Options, timeseries.FieldConfig>;
export type Row = RowPanel;
// What the Prometheus data source reads of an annotation; Grafana's own type leaves that to data sources.
type Annotation = Omit<AnnotationQuery, 'target'> & {
  expr: string; step?: string; titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean;
  target?: Record<string, unknown>;
};
// Panels are checked one by one, each against its own type: an error then names what is wrong in it.
export type Board = Omit<Dashboard, 'panels' | 'annotations'> & {
  panels: Array<Record<string, unknown>>;
  annotations: { list: Annotation[] };
};
export interface Checked {
  bargauge: Bargauge; board: Board; gauge: Gauge; heatmap: Heatmap; row: Row; stat: Stat;
  'state-timeline': StateTimeline; table: Table; text: Text; timeseries: Timeseries;
}
